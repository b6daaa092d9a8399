"""The phases of a plan: the first, and a second one if the plan fine-tunes the backbone."""

from typing import NamedTuple

from fer_tasks.settings.training import Plan


class Phase(NamedTuple):
    """Epochs `first` to `end` - 1 under one optimizer; epochs count from 0 over all phases."""

    first: int
    end: int
    learning_rate: float
    fine_tuning: bool


def phases(plan: Plan) -> list[Phase]:
    """The one or two phases of a plan, in order."""
    first = Phase(0, plan.epochs, plan.learning_rate, False)
    if not plan.fine_tune:
        return [first]
    return [first, Phase(plan.epochs, plan.all_epochs, plan.fine_tune.learning_rate, True)]


def phase_of(plan: Plan, done: int) -> Phase:
    """The phase that the last of `done` finished epochs belongs to; the first phase if none is finished."""
    return next(phase for phase in phases(plan) if done <= phase.end)


def remaining_phases(plan: Plan, done: int) -> list[Phase]:
    """The phases that are not complete after `done` epochs."""
    return [phase for phase in phases(plan) if done < phase.end]
