"""Errors that the user can fix: shown as one line, without a traceback."""

import difflib
import errno
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

FULL = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
}  # the disk is full, or the user's quota, or a limit on one file
REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}


class UserError(Exception):
    """A mistake in a setting, a source or a file; the message says what is wrong, where, and what to do."""


class DiskError(UserError):
    """A folder has no room left or cannot be written."""


@contextmanager
def writing_to(folder: Path, needed: int = 0) -> Iterator[None]:
    """Turn disk errors into DiskError; `needed`: bytes in all, 0 if unknown."""
    try:
        yield
    except OSError as error:
        if error.errno is None:  # a network error: requests' exceptions are OSErrors too
            raise
        if error.errno in FULL:
            raise DiskError(_no_room(folder, needed)) from None
        raise DiskError(f"{error.filename or folder} cannot be written: {error.strerror}") from None


def as_user_error(error: BaseException) -> UserError | None:
    """An exception as something that the user can fix; None if it is a bug of this program.

    Not all code that writes uses `writing_to`, so a full or read-only disk may surface anywhere.
    """
    if isinstance(error, UserError):
        return error
    if isinstance(error, OSError) and error.errno in FULL:
        name = error.filename if isinstance(error.filename, str | bytes) else "."  # or a file descriptor
        return DiskError(_no_room(Path(os.fsdecode(name)), 0))
    if isinstance(error, OSError) and error.errno in REFUSED and error.filename:
        return DiskError(f"{error.filename}: {error.strerror}; change its permissions or its place")
    return None


def _no_room(folder: Path, needed: int) -> str:
    required = f"{needed:,} bytes are needed" if needed else "more bytes are needed"
    free = free_bytes(folder)
    return f"no room in {folder}: {required} there in all, {free:,} are free; make room and run again"


def free_bytes(folder: Path) -> int:
    """Free bytes on the disk of a folder, which need not exist yet."""
    places = (folder.absolute(), *folder.absolute().parents)
    return shutil.disk_usage(next(place for place in places if place.exists())).free


def did_you_mean(name: str, known: Sequence[str], otherwise: str) -> str:
    """A hint for an unknown name: the closest known one, or `otherwise`."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else otherwise
