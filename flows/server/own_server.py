"""This project's own Prefect server: where its files are, whether it runs and where, and how it is ended.

A machine may have several clones, each with a server of its own: which one is ours stands in a file.
"""

import json
import os
import platform
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil

from fer_tasks.storage.files import read_json, write_text

FOLDER = Path(".cache/server")  # pyproject.toml puts Prefect's database there, too
RECORD = FOLDER / "server.json"
LOG = FOLDER / "server.log"
MODULE = "flows.server"
ENDS_WITHIN = 20  # seconds, then it is killed


class Server(NamedTuple):
    """What is on record of it."""

    url: str  # of its API
    pid: int


def ensure_folder() -> None:
    """Make the folder of Prefect's database: its server needs it, and a new clone has none.

    Others on this machine cannot look into it: the database has the secrets of blocks beside their key.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    with suppress(PermissionError):  # it is another user's
        FOLDER.chmod(0o700)


def this_project() -> str:
    """What a server answers under /project: machine and folder."""
    return f"{platform.node()}:{Path.cwd().resolve()}"


def keep_record(url: str) -> None:
    """Write down that this process is the project's server."""
    write_text(RECORD, json.dumps(Server(url, os.getpid())._asdict(), indent=1))


def own_server() -> Server | None:
    """The server that this project has started, if its process is there.

    Another process may have got its number, and a copied folder has the record of another project's server:
    the process must be a server that works in this folder.
    """
    try:
        server = Server(**read_json(RECORD))
        process = psutil.Process(server.pid)
        is_server = any(word.endswith(MODULE) for word in process.cmdline())  # a zombie has none
        return server if is_server and Path(process.cwd()) == Path.cwd().resolve() else None
    except (OSError, TypeError, ValueError, psutil.Error):  # no record, or none of a server
        return None


def stop() -> str:
    """End this project's server and no other; returns a line that says what was done."""
    server = own_server()
    if server is None:
        return "no Prefect server of this project is running"
    with suppress(psutil.NoSuchProcess):
        psutil.Process(server.pid).terminate()
    deadline = time.monotonic() + ENDS_WITHIN
    while own_server() == server:
        if time.monotonic() > deadline:
            with suppress(psutil.NoSuchProcess):
                psutil.Process(server.pid).kill()
        time.sleep(0.1)
    RECORD.unlink(missing_ok=True)  # it has not died: no worker starts it again
    return f"the Prefect server at {server.url.removesuffix('/api')} has ended"


if __name__ == "__main__":
    sys.stdout.write(f"{stop()}\n")
