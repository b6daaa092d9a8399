"""What trained cells say of the test pictures."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from prefect import task

from fer_tasks import cells, training
from fer_tasks.dataset import read_array, read_dataset
from fer_tasks.errors import UserError
from fer_tasks.labels import EXPRESSIONS
from fer_tasks.models import load_model
from fer_tasks.training.fit import predict
from flows.caching import same_inputs_and_code


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
    x = read_array(features / "X.npy")
    test = np.flatnonzero(read_dataset(features).manifest["split"] == "test")
    return predict(load_model(models / cell / "model.keras"), x[test])
