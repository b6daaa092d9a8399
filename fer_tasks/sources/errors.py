"""What is wrong with a source, as one message."""

from fer_tasks.errors import UserError


class SourceError(UserError):
    """The source that params.yaml names is not there, cannot be read, holds no usable picture, or lies where
    the project itself writes."""
