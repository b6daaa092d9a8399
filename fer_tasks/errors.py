"""The one kind of error that is the user's to mend: shown as one line, without a traceback."""

import difflib
import errno
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # the disk, the user's share of it, a limit on one file
REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}


class UserError(Exception):
    """A mistake in a setting, a source or a file; the message names it and says what would be right."""


class DiskError(UserError):
    """A folder has no room left or cannot be written."""


@contextmanager
def writing_to(folder: Path, needed: int = 0) -> Iterator[None]:
    """Turn faults of the disk into DiskError; `needed`: bytes in all, 0 where nobody knows."""
    try:
        yield
    except OSError as error:
        if error.errno is None:  # a fault of the network: requests' exceptions are OSErrors too
            raise
        if error.errno in FULL:
            raise DiskError(_no_room(folder, needed)) from None
        raise DiskError(f"{error.filename or folder} cannot be written: {error.strerror}") from None


def as_user_error(error: BaseException) -> UserError | None:
    """What the user can fix about an exception; None where it is a fault of this program.

    A disk that is full or refuses to be written may be met anywhere: not all that write use `writing_to`.
    """
    if isinstance(error, UserError):
        return error
    if isinstance(error, OSError) and error.errno in FULL:
        name = error.filename if isinstance(error.filename, str | bytes) else "."  # or a file's number
        return DiskError(_no_room(Path(os.fsdecode(name)), 0))
    if isinstance(error, OSError) and error.errno in REFUSED and error.filename:
        return DiskError(f"{error.filename}: {error.strerror}; change its permissions or its place")
    return None


def _no_room(folder: Path, needed: int) -> str:
    asked = f"{needed:,} bytes are needed" if needed else "more bytes are needed"
    free = free_bytes(folder)
    return f"no room in {folder}: {asked} there in all, {free:,} are free; make room and run again"


def free_bytes(folder: Path) -> int:
    """How many bytes are free on the disk of a folder, which need not be there yet."""
    places = (folder.absolute(), *folder.absolute().parents)
    return shutil.disk_usage(next(place for place in places if place.exists())).free


def did_you_mean(name: str, known: Sequence[str], otherwise: str) -> str:
    """The mend of a name that is not known: the one that is nearest, or `otherwise`."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else otherwise
