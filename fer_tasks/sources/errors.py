"""The error of a source that cannot be used."""

from fer_tasks.errors import UserError


class SourceError(UserError):
    """The source that params.yaml names is missing, unreadable, without usable pictures, or lies in a folder
    that the project writes."""
