"""A project that is ready to train: features of drawn numbers, in place of what the stages before make."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from prefect import Flow, flow

from fer_tasks.labels import EXPRESSIONS
from fer_tasks.models import load_model
from fer_tasks.settings import load_settings
from fer_tasks.storage.dataset import write_dataset
from fer_tasks.storage.files import read_array, write_array
from flows.train import train
from tests.project import link_settings

CROP = {"mode": "fast", "max_side": 640, "min_score": 0.9, "min_face": 24, "margin": 0.2, "size": 150}
CELL = {"model": "alizadeh_fazel", "options": {"depth": "shallow", "width": 0.1}, "recipe": "gray16"}
CELL |= {"optimizer": "sgd", "learning_rate": 0.01, "epochs": 3, "batch_size": 8}


def make_project(folder: Path) -> Path:
    """Features of a recipe for pictures and of one for vectors, and a place for a grid."""
    (link_settings(folder) / "grids").unlink()
    (folder / "grids").mkdir()
    rng, none = np.random.default_rng(0), pd.DataFrame(columns=["image_id", "file", "reason", "detail"])
    for stage, settings in (("raw", {"source": "a/people"}), ("faces", CROP)):
        write_dataset(folder / "data" / stage, none, none, {}, settings)
    for recipe, shape in (("gray16", (16, 16, 1)), ("rgb32", (32, 32, 3)), ("vector", (9,))):
        root = folder / "data" / "features" / recipe
        ids = [f"{i:016x}" for i in range(56)]
        labels = [EXPRESSIONS[i % 7] for i in range(56)]
        splits = ["train" if i < 42 else "val" for i in range(56)]
        manifest = pd.DataFrame({"image_id": ids, "label": labels, "split": splits})
        write_array(root / "X.npy", 56, [rng.random((56, *shape), np.float32)])
        write_dataset(
            root, manifest, manifest.iloc[:0].assign(reason="", detail=""), {}, {"steps": [{"op": "gray"}]}
        )
    return folder


def random_pictures() -> np.ndarray:
    """Two sets of pictures: (2, 56, 16, 16, 1)."""
    return np.random.default_rng(1).random((2, 56, 16, 16, 1), np.float32)


def write_features(root: Path, x: np.ndarray) -> None:
    """Pictures to learn from and, of the same kinds, to validate and to test on."""
    names = [f"{i:016x}" for i in range(56)]
    splits = ["train"] * 42 + ["val"] * 7 + ["test"] * 7
    manifest = pd.DataFrame(
        {"image_id": names, "label": [EXPRESSIONS[i % 7] for i in range(56)], "split": splits}
    )
    about = {"steps": [{"op": "gray"}], "array": write_array(root / "X.npy", 56, [x])}
    write_dataset(root, manifest, manifest.iloc[:0].assign(reason="", detail=""), {}, about)


def run(project: Path, *grid: dict, ensembles: Sequence[dict] = (), by: Flow = train) -> None:
    """Train a grid in the project, which is the working folder."""
    content = {"cells": [{**CELL, **cell} for cell in grid], "ensembles": list(ensembles)}
    (project / "grids" / "sample.yaml").write_text(yaml.safe_dump(content))
    by(load_settings())


def about(project: Path, name: str) -> dict:
    """The cell.json of a cell."""
    return json.loads((project / "models" / name / "cell.json").read_text())


def predicted(project: Path, cell: str, split: slice) -> np.ndarray:
    """What a cell's model says of a slice of the pictures: (n, 7)."""
    model = load_model(project / "models" / cell / "model.keras")
    return model.predict(np.array(read_array(project / "data/features/gray16/X.npy")[split]), verbose=0)


def in_a_flow(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function that logs as a part of a flow run does."""
    return flow(function, name="predicting", validate_parameters=False)(*arguments)
