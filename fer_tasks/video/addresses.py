"""The addresses of streams: what is one, and how it is shown to others."""

import re
from pathlib import Path

ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
# User and password: all up to the last @ before the path; of a password with a slash, which belongs into the
# address as %2F, up to the last @ at all.
LOGIN = re.compile(r"(?<=://)([^/?#]*@|(?!\[)[^/?#]*:(?!\d*([/?#]|$)).*@)")
NAMES = "user|usr|login|pas|pwd|psw|auth|token|key|secret|sig|cred"  # or a part of one
SECRET = re.compile(rf"([\w.-]*({NAMES})[\w.-]*=)[^&;/#]*", re.IGNORECASE)


def is_address(source: object) -> bool:
    """Whether a source is the address of a stream, not a file."""
    return isinstance(source, str) and ADDRESS.match(source) is not None


def without_password(source: int | str | Path) -> str:
    """A source's name; an address without user and password, also those that are parameters."""
    if not is_address(source):
        return str(source)
    return SECRET.sub(r"\1***", LOGIN.sub("", source))
