"""The worker of `make schedule`: Prefect's own; beside it this project's server is started again if it dies.

Without a server nothing is scheduled and nobody is told, and Prefect's worker gives up after some minutes.
"""

import os
import runpy
import subprocess
import sys
import time
from threading import Thread
from urllib.parse import urlsplit

import psutil

from flows.server.own_server import RECORD, Server, own_server

POOL = "monday-fer"  # of prefect.yaml
LOOKS_EVERY = 5  # seconds


def work() -> None:
    """Become the worker. A server that people started themselves, as by systemd, is theirs to keep."""
    if (server := own_server()) and "--idle-minutes" in psutil.Process(server.pid).cmdline():
        Thread(target=_keep_alive, args=[server], daemon=True).start()
    sys.argv = ["prefect", "worker", "start", "--pool", POOL]
    runpy.run_module("prefect", run_name="__main__", alter_sys=True)


def _keep_alive(server: Server) -> None:
    """Start a server on the same port whenever its process is gone, until it is stopped on purpose."""
    environment = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
    environment["PREFECT_SERVER_API_PORT"] = str(urlsplit(server.url).port)
    while True:
        time.sleep(LOOKS_EVERY)
        if own_server() is None:
            time.sleep(1)  # then `make stop` has removed the record, too
            if not RECORD.exists():
                return
            sys.stderr.write("the Prefect server has died: it is started again\n")
            subprocess.run([sys.executable, "-m", "flows.server", "--background"], env=environment)


if __name__ == "__main__":
    work()
