"""Shared by the fake servers on 127.0.0.1: a handler, and a server that runs as long as a context."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import BaseRequestHandler
from types import SimpleNamespace
from typing import Any


class Handler(BaseHTTPRequestHandler):
    """Sends replies, complete or cut off. The server's `state` has its content and the requests so far."""

    protocol_version = "HTTP/1.1"
    room: int | None = None  # bytes of a body to send, whatever its Content-Length; None: all

    def reply(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        """Send a reply; `headers` are added to Content-Length or replace it, and "" leaves one out."""
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[: self.room])

    def log_message(self, *args: object) -> None:
        """Log nothing: the tests look at the requests."""


def silence(handler: Handler) -> None:
    """Accept the request, but send nothing until the server ends."""
    handler.server.state.closing.wait(20)


def named(headers: dict[str, str]) -> dict[str, str]:
    """Header names from keyword arguments."""
    return {name.replace("_", "-"): value for name, value in headers.items()}


@contextmanager
def serving(handler: Callable[..., BaseRequestHandler], state: Callable[[str], Any]) -> Iterator[Any]:
    """Run a server until the context ends; yields `state(address)`, whose event `closing` is then set."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.state = state(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server.state
    finally:
        server.state.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def serving_files(folder: Path) -> Iterator[str]:
    """Serve a folder's files until the context ends; yields the address."""
    handler = partial(SimpleHTTPRequestHandler, directory=folder)
    with serving(handler, lambda address: SimpleNamespace(url=address, closing=threading.Event())) as files:
        yield files.url
