"""What the test split says of cells, and a stopwatch: from the models on disk, or from what is remembered."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from prefect import task

from fer_tasks import cells, grad_cam, latency, models, training
from fer_tasks.dataset import read_array, read_dataset
from fer_tasks.errors import UserError
from fer_tasks.labels import EXPRESSIONS
from fer_tasks.models import load_model
from fer_tasks.training.fit import predict
from fer_tasks.training.isolation import call_in_own_process
from flows.caching import same_inputs_and_code
from flows.fan_out import map_items, shard_task

Look = Callable[[Sequence[int], Sequence[int]], np.ndarray | None]


class Answers(NamedTuple):
    """The test pictures of one recipe, and what a cell says of them."""

    faces: pd.DataFrame  # rows of the features' manifest
    y_true: np.ndarray  # (n,) int
    probabilities: np.ndarray  # (n, 7)

    @property
    def right(self) -> np.ndarray:
        """(n,) bool: which pictures the cell names right."""
        return self.probabilities.argmax(axis=1) == self.y_true


def read_answers(cell: str, models: Path, features: Path) -> Answers:
    """A trained cell on the test split. Raises UserError where that has no picture."""
    about = cells.read_cell(models / cell)
    folder = features / about["settings"]["recipe"]
    manifest = read_dataset(folder).manifest
    faces = manifest[manifest["split"] == "test"]
    if faces.empty:
        raise UserError("there is no picture in the test split; add pictures or raise clean.test_share")
    y_true = faces["label"].map(EXPRESSIONS.index).to_numpy()
    probabilities = probabilities_of.submit(cell, about["fingerprint"], models, folder).result()
    return Answers(faces, y_true, probabilities)


@task(task_run_name="test {cell}", cache_policy=same_inputs_and_code(training))
def probabilities_of(cell: str, fingerprint: str, models: Path, features: Path) -> np.ndarray:
    """`fingerprint`, the cell's, says the content of the model and of the features."""
    return predict(load_model(models / cell / "model.keras"), _test_pictures(features))


def looking(cell: str, models: Path, features: Path) -> Look:
    """Grad-CAM of a cell: a function of rows of the test pictures and a class for each."""
    about = cells.read_cell(models / cell)
    return partial(heat_maps, cell, about["fingerprint"], models, features / about["settings"]["recipe"])


@task(task_run_name="where {cell} looks", cache_policy=same_inputs_and_code(grad_cam, models))
def heat_maps(
    cell: str, fingerprint: str, models: Path, features: Path, rows: Sequence[int], classes: Sequence[int]
) -> np.ndarray | None:
    """(n, m, n') float32 in 0..1, or None where the model has nowhere to look."""
    try:
        x = _test_pictures(features)[list(rows)].astype(np.float32)
        return grad_cam.grad_cam(load_model(models / cell / "model.keras"), x, np.array(classes))
    except grad_cam.NoMaps:
        return None


def milliseconds_a_face(folder: Path, trained: Sequence[str]) -> dict[str, float]:
    """How long each cell that has a model takes for one face on one thread; measured once for each model."""
    prints = {cell: cells.read_cell(folder / cell)["fingerprint"] for cell in trained}
    timed = {i: (prints[i], str(file)) for i in prints if (file := cells.model_file(folder / i))}
    return dict(map_items(measure, timed, (latency, models)))


@shard_task
def measure(shard: Mapping[str, tuple[str, str]]) -> dict[str, float]:
    files = {cell: Path(file) for cell, (_, file) in shard.items()}
    return call_in_own_process(latency.measure, files, load_model, threads=1, on_message=lambda name: None)


def _test_pictures(features: Path) -> np.ndarray:
    test = np.flatnonzero(read_dataset(features).manifest["split"] == "test")
    return read_array(features / "X.npy")[test]
