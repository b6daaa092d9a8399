"""What a cell of this project depends on, by the digest of its code: its own model and what trains it."""

import shutil
from pathlib import Path

import pytest

from flows.engine.code.digest import digest, reached
from flows.engine.code.libraries import Libraries
from flows.engine.code.links import Links
from flows.engine.code.scopes import Use
from flows.grid.entries import entries

ROOT = Path(__file__).parents[1]


def test_in_this_project_a_cell_depends_on_its_own_model_and_what_trains_it():
    links, fit = Links(ROOT), [Use("flows.grid.cell_process", ("fit_cell",))]
    of_resnet, of_transfer = (reached(links, fit, {"BUILDERS": [name]}) for name in ("resnet", "transfer"))
    assert of_resnet.code != of_transfer.code
    assert "fer_tasks.models.backbones" in of_transfer.modules - of_resnet.modules
    assert {"fer_tasks.models.batch_norm", "fer_tasks.training.muon"} <= of_resnet.modules
    assert {
        "fer_tasks.storage.images",
        "fer_tasks.reports.plots",
        "flows.engine.memo_map",
        "flows.train",
    }.isdisjoint(of_transfer.modules)
    versions = {line.split()[0] for line in Libraries().versions(of_transfer.libraries)}
    assert {"keras", "tensorflow", "openvino", "numpy"} <= versions
    assert {"prefect", "scikit-learn", "matplotlib", "pydantic"}.isdisjoint(versions)


def of_cell(folder: Path, *changes: tuple[str, str, str], move: tuple[str, str] | None = None) -> str:
    """The digest of a cell in a copy of this project, some texts of which are replaced by others."""
    for name in ("fer_tasks", "flows"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file, old, new in changes:
        text = (folder / file).read_text()
        assert old in text
        (folder / file).write_text(text.replace(old, new))
    if move:
        (folder / move[1]).parent.mkdir()
        (folder / move[0]).rename(folder / move[1])
    cell = {"model": "resnet", "optimizer": "muon", "loss": "categorical_hinge", "augmentation": "light"}
    used = entries({**cell, "schedule": "cosine", "options": {}})
    return digest(Links(folder), Libraries([]), [Use("flows.grid.cell_process", ("fit_cell",))], used)


MODELS, FIT = "fer_tasks/models/__init__.py", "fer_tasks/training/fit.py"
KEEP_A_CELL = [
    (FIT, "Build and train a model;", "Train a model;"),  # a docstring
    (MODELS, '"baseline": baseline,', '"baseline": baseline, "new": lambda *shape: shape,'),  # a new model
    ("fer_tasks/models/teacher.py", "CONVOLUTIONS = (512, 256)", "CONVOLUTIONS = (512,)"),  # another model
    ("fer_tasks/training/optimization.py", "momentum=0.9", "momentum=0.8"),  # another optimizer
    (
        "fer_tasks/storage/images.py",
        "Image.MAX_IMAGE_PIXELS = None",
        "Image.MAX_IMAGE_PIXELS = 1",
    ),  # another stage
    ("flows/engine/own_process.py", "daemon=True", "daemon=False"),  # another process
]
CHANGE_A_CELL = {
    "a default of its model": ("fer_tasks/models/resnet.py", "filters: int = 32", "filters: int = 16"),
    "a layer of its model": ("fer_tasks/models/batch_norm.py", "count - 1", "count - 2"),
    "its optimizer": ("fer_tasks/training/muon.py", "!= 4", "!= 2"),
    "an option of its optimizer": ("fer_tasks/training/optimization.py", '"ns_steps": 3', '"ns_steps": 5'),
    "its augmentation": ("fer_tasks/training/augmentation.py", "rotation=10", "rotation=20"),
    "a constant of its training": ("fer_tasks/training/weight_averaging.py", "BATCHES = 25", "BATCHES = 26"),
    "what reads its features": ("fer_tasks/storage/files.py", 'mmap_mode="r"', "mmap_mode=None"),
    "the labels": ("fer_tasks/labels.py", '"happy", "neutral"', '"neutral", "happy"'),
}


@pytest.fixture(scope="module")
def of_this_cell(tmp_path_factory: pytest.TempPathFactory) -> str:
    return of_cell(tmp_path_factory.mktemp("this"))


def test_in_this_project_what_a_cell_does_not_use_keeps_it(tmp_path, of_this_cell):
    user = ("fer_tasks/training/optimization.py", "fer_tasks.training.muon", "fer_tasks.optimizers.kernels")
    moved = ("fer_tasks/training/muon.py", "fer_tasks/optimizers/kernels.py")
    assert of_cell(tmp_path, *KEEP_A_CELL, user, move=moved) == of_this_cell


@pytest.mark.parametrize("what", CHANGE_A_CELL)
def test_in_this_project_what_a_cell_uses_changes_it(tmp_path, of_this_cell, what):
    assert of_cell(tmp_path, CHANGE_A_CELL[what]) != of_this_cell
