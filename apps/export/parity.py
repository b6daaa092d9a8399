"""Whether an export answers as the model does."""

from typing import NamedTuple

import numpy as np

from fer_tasks.errors import UserError

TOLERANCE = 1e-4  # of a probability


class ExportRefused(UserError):
    """A model cannot be exported to a target, or what was exported answers otherwise: nothing is kept."""


class Parity(NamedTuple):
    """How an export's answers compare with the model's."""

    faces: int
    same_answers: int  # how many of them
    max_difference: float  # of a probability


def compare(expected: np.ndarray, answers: np.ndarray) -> Parity:
    """Compare probabilities, both (n, 7).

    Raises:
        ExportRefused: one is more than TOLERANCE off, or not every answer is the same.
    """
    difference = float(np.abs(answers - expected).max())
    if not difference <= TOLERANCE:  # NaN, too
        raise ExportRefused(
            f"its probabilities are up to {difference:.2g} off, and {TOLERANCE:g} are allowed"
        )
    same = int((answers.argmax(axis=1) == expected.argmax(axis=1)).sum())
    if same < len(expected):
        raise ExportRefused(f"it answers otherwise on {len(expected) - same} of {len(expected)} faces")
    return Parity(len(expected), same, difference)
