"""Fit one model: the best epoch by validation, the same weights for the same seed."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pandas as pd

from fer_tasks.errors import UserError

COLUMNS = ["epoch", "loss", "accuracy", "val_loss", "val_accuracy"]
OPTIMIZERS: dict[str, Callable[[float], keras.optimizers.Optimizer]] = {
    "adam": keras.optimizers.Adam,
    "rmsprop": keras.optimizers.RMSprop,
    "sgd": lambda rate: keras.optimizers.SGD(rate, momentum=0.9),
}


class TrainingFailed(UserError):
    """The loss is no number any more."""


class Arrays(NamedTuple):
    """Inputs as the model takes them, classes as integers."""

    x_train: np.ndarray  # (n, M, N, C)
    y_train: np.ndarray  # (n,) int
    x_val: np.ndarray
    y_val: np.ndarray


class Schedule(NamedTuple):
    """How a cell is trained."""

    optimizer: str
    learning_rate: float
    epochs: int
    batch_size: int


class Fitted(NamedTuple):
    """A model with the weights of its best epoch, and how it came there."""

    model: keras.Model
    history: pd.DataFrame  # epoch (from 1), loss, accuracy, val_loss, val_accuracy
    best_epoch: int
    train_seconds: float


def fit(
    build: Callable[[], keras.Model],
    arrays: Arrays,
    schedule: Schedule,
    seed: int,
    on_epoch: Callable[[dict[str, float]], None],
) -> Fitted:
    """Build and train a model; keeps the weights of the epoch with the highest validation accuracy (of equals
    the one with the lowest validation loss).

    The same seed and number of threads give the same weights, bit for bit. `on_epoch` gets each row of the
    history as it is made. Raises TrainingFailed when a loss is NaN or infinite.
    """
    keras.utils.set_random_seed(seed)
    model = build()
    optimizer = OPTIMIZERS[schedule.optimizer](schedule.learning_rate)
    model.compile(optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    keeper = _BestEpoch(on_epoch)
    start = time.perf_counter()
    model.fit(
        arrays.x_train,
        arrays.y_train,
        schedule.batch_size,
        schedule.epochs,
        verbose=0,
        callbacks=[keeper],
        validation_data=(arrays.x_val, arrays.y_val),
    )
    model.set_weights(keeper.weights)
    seconds = time.perf_counter() - start
    return Fitted(model, pd.DataFrame(keeper.rows, columns=COLUMNS), keeper.best["epoch"], seconds)


class _BestEpoch(keras.callbacks.Callback):
    def __init__(self, on_epoch: Callable[[dict[str, float]], None]):
        super().__init__()
        self.on_epoch, self.rows, self.weights = on_epoch, [], []
        self.best: dict[str, Any] = {"epoch": 0, "val_accuracy": -1.0, "val_loss": np.inf}

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        row = {"epoch": epoch + 1, **{name: float((logs or {})[name]) for name in COLUMNS[1:]}}
        if not np.isfinite([row["loss"], row["val_loss"]]).all():
            raise TrainingFailed(f"the loss of epoch {epoch + 1} is no number; try a lower learning rate")
        self.rows.append(row)
        if (row["val_accuracy"], -row["val_loss"]) > (self.best["val_accuracy"], -self.best["val_loss"]):
            self.best, self.weights = row, self.model.get_weights()
        self.on_epoch(row)


def predict(model: keras.Model, x: np.ndarray, batch_size: int = 64) -> np.ndarray:
    """Class probabilities of inputs (n, M, N, C): (n, classes) float32."""
    return model.predict(x, batch_size=batch_size, verbose=0)


def load_model(file: Path) -> keras.Model:
    """A model from its .keras file."""
    return keras.saving.load_model(file)


def model_bytes(model: keras.Model) -> bytes:
    """The bytes of a model's .keras file."""
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "model.keras")
        return (Path(folder) / "model.keras").read_bytes()
