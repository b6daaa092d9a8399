"""The error of a source that cannot be used."""

from fer_tasks.errors import UserError


class SourceError(UserError):
    """The source in params.yaml is missing, unreadable, without usable pictures, or in a folder that the
    project writes."""
