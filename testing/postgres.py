"""PostgreSQL, as Debian's package brings it, with a cluster in a temporary folder."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

VERSIONS = Path("/usr/lib/postgresql")  # where Debian has its programs, which are not in PATH
STARTS_WITHIN = 60  # seconds
MISSING = "wants PostgreSQL: apt-get install postgresql"


def programs() -> Path | None:
    """The folder of its programs, of the newest version."""
    found = sorted(VERSIONS.glob("*/bin/initdb"), key=lambda file: int(file.parts[-3]))
    return found[-1].parent if found else None


class Postgres(NamedTuple):
    """Its address, and its programs, which reach it there."""

    port: str

    def url(self, database: str) -> str:
        """As Prefect takes it."""
        return f"postgresql+asyncpg://postgres@127.0.0.1:{self.port}/{database}"

    def run(self, program: str, *arguments: str, text: str = "") -> str:
        """Run a program such as `psql`; `text` is what it reads. Returns what it prints."""
        there = ["-h", "127.0.0.1", "-p", self.port, "-U", "postgres"]
        command = [programs() / program, *there, *arguments]
        return subprocess.run(command, input=text, check=True, capture_output=True, text=True).stdout


@contextmanager
def postgres(port: str) -> Iterator[Postgres]:
    """Run one until the context ends, with a user `postgres` who needs no password.

    It refuses to run as root, who starts it as the user that the package has made.
    """
    user = None if os.geteuid() else "postgres"
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    try:
        if user:
            shutil.chown(folder, user)
        begin = [programs() / "initdb", "--no-sync", "--auth=trust", "--username=postgres", folder / "data"]
        subprocess.run(begin, user=user, check=True, capture_output=True, cwd=folder)
        options = ["-D", folder / "data", "-h", "127.0.0.1", "-p", port, "-k", folder, "-F"]
        with (folder / "log").open("w") as log:
            command = [programs() / "postgres", *options]
            server = subprocess.Popen(command, user=user, stdout=log, stderr=log, cwd=folder)
        try:
            _wait(port)
            yield Postgres(port)
        finally:
            server.send_signal(signal.SIGINT)  # it then ends its connections
            server.wait()
    finally:
        shutil.rmtree(folder)


def _wait(port: str) -> None:
    deadline = time.monotonic() + STARTS_WITHIN
    asks = [programs() / "pg_isready", "-q", "-h", "127.0.0.1", "-p", port]
    while subprocess.run(asks).returncode:
        assert time.monotonic() < deadline, "PostgreSQL does not start"
        time.sleep(0.1)
