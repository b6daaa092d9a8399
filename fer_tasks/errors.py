"""The one kind of error that is the user's to mend: shown as one line, without a traceback."""

import difflib
from collections.abc import Sequence


class UserError(Exception):
    """A mistake in a setting, a source or a file; the message names it and says what would be right."""


def did_you_mean(name: str, known: Sequence[str], otherwise: str) -> str:
    """The mend of a name that is not known: the one that is nearest, or `otherwise`."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else otherwise
