"""Set up and error handling that every command shares."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from fer_tasks.errors import UserError, as_user_error
from fer_tasks.network import keep_loopback_direct


@contextmanager
def ready_for_prefect() -> Iterator[None]:
    """Run a command: reach this machine's servers without a proxy, and exit with status 1 and the message
    alone on an error that the user can fix."""
    try:
        keep_loopback_direct(os.environ)
        check_proxies()
        yield
    except Exception as error:
        if not (mistake := as_user_error(error)):
            raise
        program = Path(sys.argv[0])
        sys.exit(f"{program.parent.name if program.stem == '__main__' else program.stem}: {mistake}")


def check_proxies() -> None:
    """Check the proxy variables of the environment. Raises UserError if Prefect's client cannot use one."""
    try:
        httpx.Client().close()
    except (ValueError, ImportError) as error:
        raise UserError(f"Prefect cannot use a proxy that the environment names: {error}") from None
