"""The decision on a file of a source before it is opened."""

import os
import stat
from pathlib import Path
from typing import NamedTuple

SPECIAL = "special_file"


class Verdict(NamedTuple):
    """The decision on a file before it is opened: its label and split, or why it is not used."""

    label: str = ""
    split: str = ""  # train, val, test, or "" where the source does not say
    reason: str = ""  # one of a few fixed words; "" for a picture
    detail: str = ""


def unused(reason: str, detail: str) -> Verdict:
    """The verdict on a file that is not used."""
    return Verdict(reason=reason, detail=detail)


def fault_of(path: Path) -> Verdict | None:
    """Why a file must not be opened, or None. A named pipe, for example, would block the run forever."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return unused("file_not_found", "there is no such file")
    except (OSError, ValueError) as error:  # a name that is too long, or holds a NUL
        why = getattr(error, "strerror", None) or str(error)
        return unused("file_not_found", f"there is no such file: {why}")
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe, a socket or a device"
        return unused(SPECIAL, f"{kind}, not a file")
    if not os.access(path, os.R_OK):
        return unused("unreadable", "no permission to read it")
    return None if status.st_size else unused("not_a_picture", "the file is empty")
