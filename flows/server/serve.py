"""The Prefect server with its UI, which also serves this project's report.

One address for both, so that the UI can link to the report; a browser follows no `file://` link from a page.
"""

import ipaddress
import platform
import socket
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import uvicorn
from fastapi.responses import PlainTextResponse
from fastapi.staticfiles import StaticFiles
from filelock import FileLock, Timeout
from prefect.settings import PREFECT_HOME, get_current_settings, temporary_settings
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from fer_tasks.errors import UserError
from flows.server.guard import guarded
from flows.server.idle import Activity, end_when_idle
from flows.server.own_server import FOLDER, ensure_folder, keep_record, own_server, this_project

REPORTS = Path("reports")
PORTS_TRIED = 20  # after the usual one


def with_reports(host: str) -> ASGIApp:
    """Prefect's app with `reports/` under `/reports` and the project's name under `/project`, both guarded.

    They go first: the UI answers every other path.
    """
    from prefect.server.api.server import create_app  # here, as it takes 3 s: after the port

    REPORTS.mkdir(exist_ok=True)
    app = create_app()
    name = this_project()
    app.router.routes.insert(0, Mount("/reports", StaticFiles(directory=REPORTS, html=True)))
    app.router.routes.insert(0, Route("/project", lambda request: PlainTextResponse(name)))
    return guarded(app, _names_of(host))


def _names_of(host: str) -> list[str]:
    """The names under which others reach a server that listens on `host`."""
    if _reached(host) == host:
        return [host]
    addresses = [one.address for nics in psutil.net_if_addrs().values() for one in nics]
    return [platform.node(), socket.getfqdn(), *addresses]


def serve(idle_minutes: float | None = None) -> None:
    """Serve on the address and port of Prefect's settings (127.0.0.1:4200), until stopped or, if that is
    given, until nobody has asked for `idle_minutes`.

    Raises UserError where this project has a server already, or none can listen there.
    """
    ensure_folder()
    host = get_current_settings().server.api.host
    try:
        with (
            FileLock(FOLDER / "server.lock", timeout=0),
            _listening(host) as listening,
            temporary_settings({PREFECT_HOME: FOLDER.resolve()}),  # its leases are of its own database
        ):
            base = f"http://{_reached(host)}:{listening.getsockname()[1]}"
            app = Activity(with_reports(host))
            keep_record(f"{base}/api")
            sys.stdout.write(f"Prefect's UI {base}, the report {base}/reports/ (`make stop` ends it)\n")
            sys.stdout.flush()
            config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=5)
            server = uvicorn.Server(config)
            if idle_minutes:
                end_when_idle(server, app, 60 * idle_minutes)
            with suppress(KeyboardInterrupt):
                server.run(sockets=[listening])
    except Timeout:
        running = own_server()
        where = f" at {running.url.removesuffix('/api')}" if running else ""
        raise UserError(f"this project's server is running{where} already; `make stop` ends it") from None


def _listening(host: str) -> socket.socket:
    """A socket on the wanted port; on one of the next where nobody has asked for that port in particular."""
    settings = get_current_settings().server.api
    asked_for = "port" in settings.model_fields_set or get_current_settings().api.url
    for port in range(settings.port, settings.port + (1 if asked_for else PORTS_TRIED)):
        try:
            return socket.create_server((host, port))
        except (OSError, OverflowError) as error:
            last = error
    why = "another program has it" if "in use" in str(last) else f"{last}"
    raise UserError(
        f"no server can listen on {host}:{port} ({why}): set PREFECT_SERVER_API_PORT to a free port"
    )


def _reached(host: str) -> str:
    """The address under which this machine reaches a server that listens on `host`."""
    with suppress(ValueError):
        if ipaddress.ip_address(host).is_unspecified:
            return "127.0.0.1"
    return host
