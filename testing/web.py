"""The pages' servers, for tests and benchmarks: in this process, or in one of their own."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

ROOT = Path(__file__).parents[1]
HOME = "http://127.0.0.1"


@contextmanager
def running(app: ASGIApp) -> Iterator[str]:
    """Serve by a thread of this process; yields the address."""
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor(1) as thread:
        thread.submit(server.run, sockets=[listening])
        try:
            yield f"{HOME}:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True


@contextmanager
def started(command: Sequence[str], folder: Path = ROOT) -> Iterator[tuple[subprocess.Popen, str]]:
    """Run `python -m …` in a folder, which serves a page; yields its process and its address."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", *command]
    with subprocess.Popen(command, cwd=folder, env=environ, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process, process.stdout.readline().split(" at ")[1].split("/ (")[0]
        finally:
            process.kill()
