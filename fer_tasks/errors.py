"""The one kind of error that is the user's to mend: shown as one line, without a traceback."""


class UserError(Exception):
    """A mistake in a setting, a source or a file; the message names it and says what would be right."""
