"""The state of training at the end of an epoch: enough to resume exactly."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np


class Checkpoint(NamedTuple):
    """The state at the end of an epoch."""

    rows: list[dict[str, float]]  # the history so far
    seconds: float  # of training so far
    arrays: dict[str, np.ndarray]  # of `capture`; model.<i> includes the states of its seeds

    @property
    def epoch(self) -> int:
        """How many epochs are finished."""
        return len(self.rows)


def capture(
    model: keras.Model, best: list[np.ndarray], statistics: list[np.ndarray]
) -> dict[str, np.ndarray]:
    """The arrays of a checkpoint: the model, its optimizer with step count and moving averages, the best
    weights, and the batch norm statistics that belong to the averages."""
    groups: dict[str, Iterable[Any]] = {
        "model": model.variables,
        "optimizer": model.optimizer.variables,
        "best": best,
        "statistics": statistics,
    }
    return {
        f"{name}.{i}": np.asarray(value) for name, group in groups.items() for i, value in enumerate(group)
    }


def best_weights(arrays: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """The weights of the best epoch so far, as `model.get_weights()` returns them."""
    return _group(arrays, "best")


def averaged_statistics(arrays: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """The batch norm statistics to use with the averaged weights; empty without an EMA."""
    return _group(arrays, "statistics")


def restore_model(model: keras.Model, arrays: Mapping[str, np.ndarray]) -> None:
    """Restore a model, including its seeds."""
    assign(model.variables, _group(arrays, "model"))


def restore_optimizer(model: keras.Model, arrays: Mapping[str, np.ndarray]) -> None:
    """Restore the optimizer of a compiled model."""
    model.optimizer.build(model.trainable_variables)
    assign(model.optimizer.variables, _group(arrays, "optimizer"))


def _group(arrays: Mapping[str, np.ndarray], name: str) -> list[np.ndarray]:
    size = sum(key.startswith(f"{name}.") for key in arrays)
    return [arrays[f"{name}.{i}"] for i in range(size)]


def assign(variables: list[keras.Variable], values: list[np.ndarray]) -> None:
    """Assign values to variables, in order."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
