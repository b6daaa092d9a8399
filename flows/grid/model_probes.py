"""What is found out of models beside their answers: where they look, and how long they take."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from prefect import task

from fer_tasks.evaluation import grad_cam, latency
from fer_tasks.models import load_model
from fer_tasks.storage import cells
from fer_tasks.storage.dataset import read_dataset
from fer_tasks.storage.files import read_array
from flows.engine.caching import same_inputs_and_code
from flows.engine.memo_map import map_items, shard_task
from flows.engine.own_process import call_in_own_process
from flows.grid.predictions import network_id

Look = Callable[[Sequence[int], Sequence[int]], np.ndarray | None]


def looking(cell: str, models: Path, features: Path) -> Look:
    """Grad-CAM of a cell: a function of rows of the test pictures and a class for each."""
    about = cells.read_cell(models / cell)
    data = read_dataset(features / about["settings"]["recipe"])
    content = f"{network_id(about)} {data.fingerprint}"
    return partial(heat_maps, cell, content, models, data.root)


@task(task_run_name="where {cell} looks", cache_policy=same_inputs_and_code())
def heat_maps(
    cell: str, content: str, models: Path, features: Path, rows: Sequence[int], classes: Sequence[int]
) -> np.ndarray | None:
    """(n, m, n') float32 in 0..1, or None where the model has nowhere to look. `content` says what the model
    and the features hold."""
    try:
        test = np.flatnonzero(read_dataset(features).manifest["split"] == "test")
        x = read_array(features / "X.npy")[test[list(rows)]].astype(np.float32)
        return grad_cam.grad_cam(load_model(models / cell / "model.keras"), x, np.array(classes))
    except grad_cam.NoFeatureMaps:
        return None


def milliseconds_a_face(folder: Path, trained: Sequence[str]) -> dict[str, float]:
    """How long each cell that has a model takes for one face on one thread; measured once for each model."""
    files = {cell: file for cell in trained if (file := cells.model_file(folder / cell))}
    timed = {i: (network_id(cells.read_cell(folder / i)), str(file)) for i, file in files.items()}
    return dict(map_items(measure, timed))


@shard_task
def measure(shard: Mapping[str, tuple[str, str]]) -> dict[str, float]:
    files = {cell: Path(file) for cell, (_, file) in shard.items()}
    return call_in_own_process(latency.measure_latencies, files, load_model, threads=1)
