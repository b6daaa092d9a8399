"""The Prefect server with its UI, which also serves this project's report: `make server`.

One address for both, so that the UI can link to the report; a browser follows no `file://` link from a page.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from prefect.server.api.server import create_app
from prefect.settings import get_current_settings
from starlette.routing import Mount

from fer_tasks.errors import UserError
from flows.stage import is_answering, make_home, mistakes_in_one_line, usual_server

LOG = Path(".cache/server.log")
REPORTS = Path("reports")
STARTS_WITHIN = 120  # seconds: 6 here, up to 34 on a busy machine


def with_reports() -> FastAPI:
    """Prefect's app with `reports/` under `/reports`; it goes first: the UI answers every other path."""
    REPORTS.mkdir(exist_ok=True)
    app = create_app()
    app.router.routes.insert(0, Mount("/reports", StaticFiles(directory=REPORTS, html=True)))
    return app


def serve() -> None:
    """Serve until stopped, on the loopback address and port of Prefect's settings (127.0.0.1:4200)."""
    make_home()
    address = get_current_settings().server.api
    uvicorn.run(with_reports(), host=address.host, port=address.port, log_level="warning")


def start_in_background() -> str:
    """See that a server answers, and return its API's URL: the configured one, or one of this machine's.

    Raises UserError where the configured one is elsewhere and silent, and with its log where none starts.
    """
    url = get_current_settings().api.url or usual_server()
    if is_answering(url):
        return url
    if url != usual_server():
        mend = "start it, or unset PREFECT_API_URL (`prefect config unset PREFECT_API_URL`)"
        raise UserError(f"no Prefect server answers at {url}: {mend}")
    LOG.parent.mkdir(parents=True, exist_ok=True)
    with LOG.open("wb") as log:
        command = [sys.executable, "-m", "flows.server"]
        server = subprocess.Popen(
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
        )
    deadline = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < deadline and server.poll() is None:
        if is_answering(url):
            return url
        time.sleep(0.5)
    raise UserError(f"the Prefect server did not start; see {LOG}:\n{LOG.read_text()[-1000:]}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m flows.server", description=__doc__)
    parser.add_argument("--background", action="store_true", help="start one unless one answers, and return")
    with mistakes_in_one_line():
        start_in_background() if parser.parse_args().background else serve()
