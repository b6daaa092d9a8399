"""What training knows at the end of an epoch: enough to go on as if nothing had happened."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np


class Checkpoint(NamedTuple):
    """The state at the end of an epoch."""

    rows: list[dict[str, float]]  # the history so far
    seconds: float  # spent on it
    arrays: dict[str, np.ndarray]  # those of `capture`; model.<i> has the states of its seeds, too

    @property
    def epoch(self) -> int:
        """How many epochs are finished."""
        return len(self.rows)


def capture(
    model: keras.Model, best: list[np.ndarray], statistics: list[np.ndarray]
) -> dict[str, np.ndarray]:
    """The arrays of a checkpoint: the model, its optimizer with step count and moving averages, the best
    weights, the statistics of batch norm that go with the averages."""
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
    """The weights of the best epoch so far, as `model.get_weights()` has them."""
    return _group(arrays, "best")


def averaged_statistics(arrays: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """What batch norm goes by when the moving averages stand for the weights; empty where there are none."""
    return _group(arrays, "statistics")


def restore_model(model: keras.Model, arrays: Mapping[str, np.ndarray]) -> None:
    """Put a model, its seeds included, where it was."""
    assign(model.variables, _group(arrays, "model"))


def restore_optimizer(model: keras.Model, arrays: Mapping[str, np.ndarray]) -> None:
    """Put a compiled model's optimizer where it was."""
    model.optimizer.build(model.trainable_variables)
    assign(model.optimizer.variables, _group(arrays, "optimizer"))


def _group(arrays: Mapping[str, np.ndarray], name: str) -> list[np.ndarray]:
    size = sum(key.startswith(f"{name}.") for key in arrays)
    return [arrays[f"{name}.{i}"] for i in range(size)]


def assign(variables: list[keras.Variable], values: list[np.ndarray]) -> None:
    """Give variables their values, in order."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
