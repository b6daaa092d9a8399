"""A project that is ready to train: features of drawn numbers, in place of what the stages before make."""

from pathlib import Path

import numpy as np
import pandas as pd

from fer_tasks.labels import EXPRESSIONS
from fer_tasks.storage.dataset import write_dataset
from fer_tasks.storage.files import write_array
from tests.project import link_settings

CROP = {"mode": "fast", "max_side": 640, "min_score": 0.9, "min_face": 24, "margin": 0.2, "size": 150}


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
