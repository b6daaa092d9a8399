"""What a flow hands to a training process, and what it gets back."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fer_tasks.settings import Cell
from fer_tasks.storage import cells

Outcome = tuple[cells.Trained | None, dict[str, Any]]  # the model and the content of cell.json


class Job(NamedTuple):
    """A cell to train, and the paths of its files."""

    cell: Cell
    fingerprint: str
    features: Path  # the folder of all recipes
    checkpoint: Path
    backbone_features: Path  # the folder that cells with the same frozen backbone share
    teacher: np.ndarray | None = None  # (n, 7): its teacher's probabilities for the train split


class TrainingRows(NamedTuple):
    """Rows of the array of all faces, and the expressions of those in train and val."""

    train: np.ndarray  # (n,) int
    val: np.ndarray
    test: np.ndarray
    y_train: np.ndarray  # (n,) int, indices into EXPRESSIONS
    y_val: np.ndarray
