"""What can go wrong when a source is written to disk, as one clear message."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fer_tasks.errors import UserError

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # the disk, the user's share of it, a limit on one file


class DiskError(UserError):
    """A folder of the cache has no room left or cannot be written."""


@contextmanager
def writing_to(folder: Path, needed: int) -> Iterator[None]:
    """Turn faults of the disk into DiskError; `needed`: bytes in all, 0 where nobody knows."""
    try:
        yield
    except OSError as error:
        if error.errno is None:  # a fault of the network: requests' exceptions are OSErrors too
            raise
        if error.errno in FULL:
            raise DiskError(_no_room(folder, needed)) from None
        raise DiskError(f"{error.filename or folder} cannot be written: {error.strerror}") from None


def _no_room(folder: Path, needed: int) -> str:
    asked = f"{needed:,} bytes are needed" if needed else "more bytes are needed"
    free = shutil.disk_usage(folder).free
    return f"no room in {folder}: {asked} there in all, {free:,} are free; make room and run again"
