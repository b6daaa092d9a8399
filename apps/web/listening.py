"""Serve a page at an address of this machine, until Ctrl-C."""

import ipaddress
import socket
from contextlib import suppress

import uvicorn
from starlette.types import ASGIApp

from fer_tasks.errors import UserError

LOOPBACK = ("127.0.0.1", "localhost")
LAST_S = 5  # for requests that are being answered when the server is told to end


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes a free one.

    Raises:
        UserError: the address is none of this machine, taken, or stands for all of them.
    """
    with suppress(ValueError):
        if ipaddress.ip_address(host).is_unspecified:
            raise UserError(
                f"--host {host}: give one address of this machine, the one that people connect to"
            )
    try:
        return socket.create_server((host, port))
    except (OSError, OverflowError) as error:
        raise UserError(f"{host}:{port}: {error}; choose another with --host and --port") from None


def serve_at(place: socket.socket, app: ASGIApp) -> None:
    """Serve until Ctrl-C or SIGTERM."""
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=LAST_S)
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[place])
