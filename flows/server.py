"""The Prefect server with its UI, which also serves this project's report: `make server`.

One address for both, so that the UI can link to the report; a browser follows no `file://` link from a page.
"""

import argparse
import ipaddress
import platform
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import uvicorn
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from fastapi.staticfiles import StaticFiles
from filelock import FileLock, Timeout
from prefect.server.api.server import create_app
from prefect.settings import PREFECT_HOME, get_current_settings, temporary_settings
from starlette.routing import Mount, Route

from fer_tasks.errors import UserError
from flows.guard import guarded
from flows.own_server import FOLDER, LOG, keep_record, own_server, this_project
from flows.stage import make_home, ready_for_prefect
from flows.which_server import check_server, is_answering, usual_server

REPORTS = Path("reports")
STARTS_WITHIN = 240  # seconds: 6 here, up to 120 on a machine with four times the work it can do
PORTS_TRIED = 20  # after the usual one


def with_reports(host: str) -> FastAPI:
    """Prefect's app with `reports/` under `/reports` and the project's name under `/project`, both guarded.

    They go first: the UI answers every other path.
    """
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


def serve() -> None:
    """Serve until stopped, on the address and port of Prefect's settings (127.0.0.1:4200).

    Raises UserError where this project has a server already, or none can listen there.
    """
    make_home()
    host = get_current_settings().server.api.host
    try:
        with (
            FileLock(FOLDER / "server.lock", timeout=0),
            _listening(host) as listening,
            temporary_settings({PREFECT_HOME: FOLDER.resolve()}),  # its leases are of its own database
        ):
            base = f"http://{_reached(host)}:{listening.getsockname()[1]}"
            app = with_reports(host)
            keep_record(f"{base}/api")
            sys.stdout.write(f"Prefect's UI {base}, the report {base}/reports/ (`make stop` ends it)\n")
            sys.stdout.flush()
            config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=5)
            with suppress(KeyboardInterrupt):
                uvicorn.Server(config).run(sockets=[listening])
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


def start_in_background() -> str:
    """See that a server answers, and return its API's URL: the configured one's, or this project's own.

    Raises UserError where the configured one is silent or of another version, and with the last line of its
    log where this project's does not start.
    """
    url = get_current_settings().api.url
    if url and (url != usual_server() or is_answering(url)):
        check_server(url)
        return url
    make_home()
    with FileLock(FOLDER / "start.lock"):  # two commands at a time start one
        starting = None
        deadline = time.monotonic() + STARTS_WITHIN
        while time.monotonic() < deadline and (starting is None or starting.poll() is None):
            if (server := own_server()) and is_answering(server.url):
                return server.url
            if server is None and starting is None:
                starting = _start()
            time.sleep(0.3)
    if starting is None or starting.poll() is None:
        raise UserError(f"the Prefect server does not answer after {STARTS_WITHIN} s; {LOG} may say why")
    last = LOG.read_text(errors="replace").strip().rpartition("\n")[2]
    raise UserError(f"the Prefect server did not start, {LOG} says why: {last.removeprefix('server: ')}")


def _start() -> subprocess.Popen:
    with LOG.open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "flows.server"],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m flows.server", description=__doc__)
    parser.add_argument("--background", action="store_true", help="start one unless one answers, and return")
    background = parser.parse_args().background
    with ready_for_prefect():
        if background:
            sys.stdout.write(f"Prefect's UI {start_in_background().removesuffix('/api')}\n")
        else:
            serve()
