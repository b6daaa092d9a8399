"""Grad-CAM maps and inference latency of trained cells."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from prefect import task

from fer_tasks.storage import cells
from fer_tasks.storage.dataset import read_dataset
from flows.engine.caching import same_inputs_and_code
from flows.engine.memo_map import map_items, shard_task
from flows.engine.own_process import call_in_own_process
from flows.grid.in_own_process import HEAT_MAPS, MEASURE_LATENCIES
from flows.grid.predictions import network_id

# (rows of the test pictures, a class for each) -> (n, M, N) float32 in 0..1, or None
GradCam = Callable[[Sequence[int], Sequence[int]], np.ndarray | None]


def grad_cam_for(cell: str, models: Path, features: Path) -> GradCam:
    """Return the Grad-CAM function of a trained cell."""
    info = cells.read_cell(models / cell)
    data = read_dataset(features / info["settings"]["recipe"])
    content = f"{network_id(info)} {data.fingerprint}"
    return partial(heat_maps, cell, content, models, data.root)


@task(task_run_name="Grad-CAM of {cell}", cache_policy=same_inputs_and_code())
def heat_maps(
    cell: str, content: str, models: Path, features: Path, rows: Sequence[int], classes: Sequence[int]
) -> np.ndarray | None:
    """(n, M, N) float32 in 0..1, or None if the model has no feature maps. `content` identifies the model
    and the features."""
    test = np.flatnonzero(read_dataset(features).manifest["split"] == "test")
    model, array = models / cell / "model.keras", features / "X.npy"
    return call_in_own_process(HEAT_MAPS, model, array, test[list(rows)], np.array(classes), threads=1)


def milliseconds_a_face(folder: Path, trained: Sequence[str]) -> dict[str, float]:
    """The latency of each cell that has a model, for one face on one thread; measured once a model."""
    files = {cell: file for cell in trained if (file := cells.model_file(folder / cell))}
    identified = {i: (network_id(cells.read_cell(folder / i)), str(file)) for i, file in files.items()}
    return dict(map_items(measure_latency, identified))


@shard_task
def measure_latency(shard: Mapping[str, tuple[str, str]]) -> dict[str, float]:
    files = {cell: Path(file) for cell, (_, file) in shard.items()}
    return call_in_own_process(MEASURE_LATENCIES, files, threads=1)
