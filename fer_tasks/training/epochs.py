"""The callback that runs at the end of each epoch of a cell."""

import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from fer_tasks.errors import UserError
from fer_tasks.training.history import COLUMNS
from fer_tasks.training.state import Checkpoint, assign, best_weights, capture
from fer_tasks.training.weight_averaging import BATCHES, statistics, swap_in_ema_weights

WORST = {"epoch": 0, "val_accuracy": -1.0, "val_loss": np.inf}


class TrainingFailed(UserError):
    """A loss became NaN or infinite."""


class Epochs(keras.callbacks.Callback):
    """Keep the history and the best weights, and save a checkpoint after each epoch.

    With an EMA of the weights, the averaged weights are validated and kept.

    Raises:
        TrainingFailed: a loss became NaN or infinite.
    """

    def __init__(
        self,
        on_epoch: Callable[[dict[str, float]], None],
        save: Callable[[Checkpoint], None] | None,
        start: Checkpoint | None,
    ):
        super().__init__()
        self.on_epoch, self.save = on_epoch, save
        self.rows = list(start.rows) if start else []
        self.weights = best_weights(start.arrays) if start else []
        self.best: dict[str, Any] = max(self.rows, key=_merit, default=WORST)
        self.began = time.perf_counter() - (start.seconds if start else 0.0)
        self.batches: Callable[[int], tf.data.Dataset]  # training batches from an epoch on
        self._raw: list[np.ndarray] = []
        self._statistics: list[np.ndarray] = []  # of the validated batch norms

    @property
    def done(self) -> int:
        """How many epochs are finished."""
        return len(self.rows)

    @property
    def seconds(self) -> float:
        """Training time so far, over all processes that took part, in s."""
        return time.perf_counter() - self.began

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self._check((logs or {})["loss"])

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None:
        if self.model.optimizer.use_ema:
            self._raw = [np.asarray(variable) for variable in self.model.variables]
            swap_in_ema_weights(self.model, self.batches(self.done).take(min(BATCHES, self.params["steps"])))
            self._statistics = [np.asarray(variable) for variable in statistics(self.model)]

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        row = {"epoch": epoch + 1, **{name: float((logs or {})[name]) for name in COLUMNS[1:]}}
        self._check(row["val_loss"])
        self.rows.append(row)
        if _merit(row) > _merit(self.best):
            self.best, self.weights = row, self.model.get_weights()
        if self.model.optimizer.use_ema:
            assign(self.model.variables, self._raw)
        if self.save:
            arrays = capture(self.model, self.weights, self._statistics)
            self.save(Checkpoint(list(self.rows), self.seconds, arrays))
        self.on_epoch(row)

    def _check(self, loss: float) -> None:
        if not np.isfinite(loss):
            epoch = self.done + 1
            raise TrainingFailed(f"loss became NaN or infinite in epoch {epoch}; try a lower learning rate")


def _merit(row: dict[str, Any]) -> tuple[float, float]:
    return row["val_accuracy"], -row["val_loss"]
