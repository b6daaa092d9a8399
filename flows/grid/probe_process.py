"""Run in the probing process: Grad-CAM maps and inference latencies of trained cells."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fer_tasks.evaluation import grad_cam, latency
from fer_tasks.models import load_model
from fer_tasks.storage.files import read_array


def heat_maps(
    model: Path, array: Path, rows: np.ndarray, classes: np.ndarray, send: Callable[[Any], None]
) -> np.ndarray | None:
    """Grad-CAM maps, (n, M, N) float32 in 0..1, of `rows` of an array, (n,) int, each for one of `classes`,
    (n,) int; None if the model has no feature maps."""
    try:
        return grad_cam.grad_cam(load_model(model), read_array(array)[rows].astype(np.float32), classes)
    except grad_cam.NoFeatureMaps:
        return None


def measure_latencies(files: Mapping[str, Path], send: Callable[[Any], None]) -> dict[str, float]:
    """The latency in ms of the model in each file, for one picture."""
    return latency.measure_latencies(files, load_model)
