"""A webhook on 127.0.0.1 that keeps what it is sent."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from testing import loopback
from testing.loopback import serving


class Message(NamedTuple):
    """A notification, as Apprise's json:// sends it."""

    title: str
    text: str


class Webhook:
    """The server's state: the messages so far."""

    def __init__(self, address: str):
        self.address = f"{address.replace('http', 'json')}/s3cret"  # as Apprise names it
        self.messages: list[Message] = []
        self.closing = threading.Event()

    def titles(self) -> list[str]:
        return [message.title for message in self.messages]


class Handler(loopback.Handler):
    def do_POST(self) -> None:
        content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.state.messages.append(Message(content["title"], content["message"]))
        self.reply(200, b"")


@contextmanager
def webhook() -> Iterator[Webhook]:
    """Run one until the context ends."""
    with serving(Handler, Webhook) as state:
        yield state
