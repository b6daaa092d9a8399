"""A model, and how it is trained."""

from typing import Any, Literal

from pydantic import Field, model_validator

from fer_tasks.settings.section import Section


class FineTune(Section):
    """A second phase: the backbone learns too."""

    learning_rate: float = Field(gt=0)
    epochs: int = Field(ge=1)


class Distillation(Section):
    """Learn from a teacher's softened predictions (weight `soft`) beside the labels (weight `hard`)."""

    teacher: str  # a cell or an ensemble of the grid
    temperature: float = Field(gt=0)
    soft: float = Field(gt=0)
    hard: float = Field(ge=0)


class Plan(Section):
    """How a model is trained; options that are omitted are off."""

    optimizer: Literal["adam", "muon", "rmsprop", "sgd"] = "adam"
    learning_rate: float = Field(gt=0)
    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    loss: Literal["categorical_crossentropy", "categorical_hinge"] = "categorical_crossentropy"
    label_smoothing: float = Field(0, ge=0, lt=1)  # of the cross-entropy
    schedule: Literal["constant", "cosine", "one_cycle"] = "constant"  # over a phase
    weight_decay: float = Field(0, ge=0)  # decoupled; of kernels, not of biases and norms
    ema: float = Field(0, ge=0, lt=1)  # momentum of the weights' moving average, which is validated and kept
    augmentation: Literal["none", "light", "strong", "wide"] = "none"
    # Augmented views of the pictures while the backbone is frozen, taken in turn; 0 is one an epoch.
    views: int = Field(0, ge=0)
    fine_tune: FineTune | None = None
    distil: Distillation | None = None
    # mixed_bfloat16: float32 weights, bfloat16 layers, float32 softmax and loss.
    precision: Literal["float32", "mixed_bfloat16"] = "float32"

    @model_validator(mode="after")
    def _options_go_together(self) -> "Plan":
        if self.label_smoothing and self.loss != "categorical_crossentropy":
            raise ValueError("label_smoothing goes with loss: categorical_crossentropy")
        if self.views and self.augmentation == "none":
            raise ValueError("views are of augmented pictures; choose an augmentation, or leave views out")
        return self

    @property
    def all_epochs(self) -> int:
        """Epochs of both phases."""
        return self.epochs + (self.fine_tune.epochs if self.fine_tune else 0)


class Training(Plan):
    """A model, the recipe of its inputs, and its plan."""

    model: str
    options: dict[str, Any] = {}
    recipe: str
    pictures: int | None = Field(None, ge=1)  # at most, of the train split
