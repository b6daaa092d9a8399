"""What servers of the tests' own on 127.0.0.1 share: one handler, and a life as long as a context."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Handler(BaseHTTPRequestHandler):
    """Replies as told, in whole or in part. What a server holds and has seen is its `state`."""

    protocol_version = "HTTP/1.1"
    room: int | None = None  # bytes of a body that are sent, whatever Content-Length says

    def reply(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        """Headers replace those that are right; "" leaves one out."""
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[: self.room])

    def log_message(self, *args: object) -> None:
        """Nothing: the tests look at what came."""


def silence(handler: Handler) -> None:
    """Accept, and say nothing until the server ends."""
    handler.server.state.closing.wait(20)


def named(headers: dict[str, str]) -> dict[str, str]:
    """Header names from keyword arguments."""
    return {name.replace("_", "-"): value for name, value in headers.items()}


@contextmanager
def serving(handler: type[Handler], state: Callable[[str], Any]) -> Iterator[Any]:
    """A server, until the context ends; yields `state(its address)`, whose event `closing` is then set."""
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
