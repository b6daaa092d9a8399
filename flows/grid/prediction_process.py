"""Run in the predicting process: from the features on disk to probabilities."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from fer_tasks.models import load_model
from fer_tasks.storage.cells import unreadable_model
from fer_tasks.storage.files import read_array
from fer_tasks.training.feeding import Rows
from fer_tasks.training.fit import predict

BLOCK = 1024  # pictures in memory at once


def predict_split(queries: Sequence[tuple[Path, Path, np.ndarray, str]], send: Callable[[Any], None]) -> None:
    """Send (i, probabilities) of query i, (n, 7) float32, as soon as they are computed.

    A query: a trained cell's folder, the array of its features, the rows to predict, (n,) int, and a key of
    `test_time_augmentation.VIEWS`.

    Raises:
        UserError: a model cannot be read.
    """
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it warns of one trace a model, which must be
    for i, (folder, array, rows, views) in enumerate(queries):
        x = Rows(read_array(array), rows)
        keras.utils.clear_session()
        model = _load(folder)
        blocks = np.split(np.arange(len(x)), range(BLOCK, len(x), BLOCK))
        send((i, np.concatenate([predict(model, x[b], test_time_augmentation=views) for b in blocks])))


def _load(folder: Path) -> keras.Model:
    try:
        return load_model(folder / "model.keras")
    except (OSError, ValueError, KeyError) as error:
        raise unreadable_model(folder, str(error)) from None
