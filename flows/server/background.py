"""Start this project's Prefect server in the background, where none answers yet."""

import subprocess
import sys
import time

from filelock import FileLock
from prefect.settings import get_current_settings

from fer_tasks.errors import UserError
from flows.server.own_server import FOLDER, LOG, ensure_folder, own_server
from flows.server.which_server import check_server, is_answering, usual_server

STARTS_WITHIN = 240  # seconds: 6 here, up to 120 on a machine with four times the work it can do


def start_in_background(idle_minutes: float) -> str:
    """See that a server answers, and return its API's URL: the configured one's, or this project's own.

    One that has to be started ends itself after `idle_minutes` without a request.

    Raises UserError where the configured one is silent or of another version, and with the last line of its
    log where this project's does not start.
    """
    url = get_current_settings().api.url
    if url and (url != usual_server() or is_answering(url)):
        check_server(url)
        return url
    ensure_folder()
    with FileLock(FOLDER / "start.lock"):  # two commands at a time start one
        starting = None
        deadline = time.monotonic() + STARTS_WITHIN
        while time.monotonic() < deadline and (starting is None or starting.poll() is None):
            if (server := own_server()) and is_answering(server.url):
                return server.url
            if server is None and starting is None:
                starting = _start(idle_minutes)
            time.sleep(0.3)
    if starting is None or starting.poll() is None:
        raise UserError(f"the Prefect server does not answer after {STARTS_WITHIN} s; {LOG} may say why")
    last = LOG.read_text(errors="replace").strip().rpartition("\n")[2]
    raise UserError(f"the Prefect server did not start, {LOG} says why: {last.removeprefix('server: ')}")


def _start(idle_minutes: float) -> subprocess.Popen:
    with LOG.open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "flows.server", "--idle-minutes", str(idle_minutes)],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
