"""A model, and how it is trained."""

from typing import Any, Literal

from pydantic import Field, model_validator

from fer_tasks.settings.section import Section


class FineTune(Section):
    """A second phase: the backbone learns too."""

    learning_rate: float = Field(gt=0)
    epochs: int = Field(ge=1)


class Training(Section):
    """A model, the recipe that it sees faces by, and how it is trained; what is left out is off."""

    model: str
    options: dict[str, Any] = {}
    recipe: str
    optimizer: Literal["adam", "muon", "rmsprop", "sgd"] = "adam"
    learning_rate: float = Field(gt=0)
    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    loss: Literal["categorical_crossentropy", "categorical_hinge"] = "categorical_crossentropy"
    label_smoothing: float = Field(0, ge=0, lt=1)
    schedule: Literal["constant", "cosine", "one_cycle"] = "constant"
    weight_decay: float = Field(0, ge=0)
    ema: float = Field(0, ge=0, lt=1)
    augmentation: Literal["none", "light", "strong"] = "none"
    views: int = Field(0, ge=0)
    fine_tune: FineTune | None = None
    precision: Literal["float32", "mixed_bfloat16"] = "float32"
    pictures: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _options_go_together(self) -> "Training":
        if self.label_smoothing and self.loss != "categorical_crossentropy":
            raise ValueError("label_smoothing goes with loss: categorical_crossentropy")
        if self.views and self.augmentation == "none":
            raise ValueError("views are of augmented pictures; choose an augmentation, or leave views out")
        return self

    @property
    def all_epochs(self) -> int:
        """Of both phases."""
        return self.epochs + (self.fine_tune.epochs if self.fine_tune else 0)
