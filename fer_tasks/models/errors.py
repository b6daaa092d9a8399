"""What can be wrong with the choice of a model."""

from fer_tasks.errors import UserError


class BadModel(UserError):
    """A cell names an unknown model, option or weights, or a shape that the model cannot take."""
