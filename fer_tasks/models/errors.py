"""The error of a model that cannot be built."""

from fer_tasks.errors import UserError


class BadModel(UserError):
    """A cell has an unknown model, option or weights, or a shape that its model cannot take."""
