"""Run in a training process of the ablation."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fer_tasks.labels import EXPRESSIONS
from fer_tasks.models import build_model
from fer_tasks.settings import Training
from fer_tasks.storage.files import read_array
from fer_tasks.training import fit
from fer_tasks.training.feeding import Rows
from flows.grid.jobs import TrainingRows


def check_training(training: Training, array: Path, send: Callable[[Any], None]) -> None:
    """Check that the model can be built for the pictures of an array.

    Raises:
        BadModel: it cannot; the message says why.
    """
    build_model(training.model, read_array(array).shape[1:], len(EXPRESSIONS), **training.options)


def fit_and_predict(
    training: Training, seed: int, rows: TrainingRows, array: Path, send: Callable[[Any], None]
) -> np.ndarray:
    """Train a model on rows of an array, and predict its test rows: (n, 7) float32 probabilities.

    Sends each row of the history.
    """
    x = read_array(array)
    build = partial(build_model, training.model, x.shape[1:], len(EXPRESSIONS), **training.options)
    arrays = fit.Arrays(Rows(x, rows.train), rows.y_train, Rows(x, rows.val), rows.y_val)
    return fit.predict(fit.fit(build, arrays, training, seed, send).model, x[rows.test])
