"""What every command of this project runs in."""

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
    """What every command of this project runs in.

    No proxy stands between it and this machine's servers, and it exits with status 1 and the message alone
    where the user can mend what went wrong.
    """
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
    """Raises UserError where a proxy variable is not one that Prefect's client takes: it would not start."""
    try:
        httpx.Client().close()
    except (ValueError, ImportError) as error:
        raise UserError(f"Prefect cannot use a proxy that the environment names: {error}") from None
