"""Serve a page at an address of this machine, until Ctrl-C."""

import argparse
import ipaddress
import socket
import sys
from contextlib import suppress

import uvicorn
from starlette.types import ASGIApp

from fer_tasks.errors import UserError

LOOPBACK = ("127.0.0.1", "localhost")
LAST_S = 5  # for requests that are being answered when the server is told to end


def add_address(parser: argparse.ArgumentParser, port: int) -> None:
    """The options --host and --port; `port`: the usual one."""
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    add("--port", type=int, default=port, help="0 takes a free port (default: %(default)s)")


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


def serve_at(place: socket.socket, app: ASGIApp, host: str, what: str, may: str) -> None:
    """Say where `what` is, and what others `may` do if they reach it; serve until Ctrl-C or SIGTERM."""
    sys.stdout.write(f"{what} at http://{host}:{place.getsockname()[1]}/ (Ctrl-C stops the server)\n")
    if host not in LOOPBACK:
        sys.stdout.write(f"anybody who can reach this address can {may}: there is no password\n")
    sys.stdout.flush()
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=LAST_S)
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[place])
