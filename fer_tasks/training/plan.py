"""How a cell is trained, and in which phases."""

from typing import NamedTuple


class FineTune(NamedTuple):
    """The second phase: the backbone learns too."""

    learning_rate: float
    epochs: int


class Distillation(NamedTuple):
    """How much a student learns from a teacher's softened answers, and how much from the labels."""

    temperature: float
    soft: float  # weight of the teacher's
    hard: float  # weight of the labels'


class Plan(NamedTuple):
    """How a cell is trained; what is left out is off."""

    optimizer: str  # of optimization.OPTIMIZERS
    learning_rate: float
    epochs: int
    batch_size: int
    loss: str = "categorical_crossentropy"  # of optimization.LOSSES
    label_smoothing: float = 0.0  # 0..1, of the cross-entropy
    schedule: str = "constant"  # of optimization.SCHEDULES, over a phase
    weight_decay: float = 0.0  # decoupled; of kernels, not of biases and norms
    ema: float = 0.0  # momentum of the weights' moving average, which is then what is validated and kept
    augmentation: str = "none"  # of augmentation.SETS
    views: int = 0  # of augmented pictures while the backbone is frozen, taken in turn; 0 is one an epoch
    fine_tune: FineTune | None = None
    distillation: Distillation | None = None
    precision: str = (
        "float32"  # or mixed_bfloat16: float32 weights, bfloat16 layers, float32 softmax and loss
    )


class Phase(NamedTuple):
    """Epochs under one optimizer; they count from 0 over all phases."""

    first: int
    end: int  # the first epoch that is no more of it
    learning_rate: float
    fine_tuning: bool


def phases(plan: Plan) -> list[Phase]:
    """The phases of a plan in their order, one or two."""
    first = Phase(0, plan.epochs, plan.learning_rate, False)
    if not plan.fine_tune:
        return [first]
    end = plan.epochs + plan.fine_tune.epochs
    return [first, Phase(plan.epochs, end, plan.fine_tune.learning_rate, True)]
