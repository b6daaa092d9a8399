"""`backbone: pretrained`: the network that this program has, under a new head."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import keras
import numpy as np
import pandas as pd
import pytest

from fer_tasks.labels import EXPRESSIONS
from fer_tasks.models import BadModel, build_model, load_model, pretrained
from fer_tasks.models.batch_norm import BatchNormalization
from fer_tasks.settings import Cell, Grid
from fer_tasks.settings.training import FineTune, Plan
from fer_tasks.storage.backbone_features import ensure_parts
from fer_tasks.storage.dataset import Dataset, write_dataset
from fer_tasks.storage.model_folder import write_model_folder
from fer_tasks.training import fit, frozen_backbone
from flows.grid import fingerprints
from flows.grid.check_cells import check_cells
from flows.grid.fingerprints import features_group, grid_fingerprints
from flows.grid.model_export import run_onnx, to_onnx
from testing.tiny_model import INFO, tiny_network

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (40, 48, 48, 3), np.uint8)
GREY = np.stack([cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)[:, :, None] for face in COLOURS])
LABELS = RNG.integers(0, 7, 40)
ARRAYS = fit.Arrays(GREY[:30], LABELS[:30], GREY[30:], LABELS[30:])
PLAN = Plan(learning_rate=0.01, epochs=2, batch_size=8, augmentation="light", views=1)
INPUT = {"shape": [48, 48, 1], "dtype": "float32", "range": [0, 1]}


def write_network(folder: Path, seed: int = 0, **changes: object) -> Path:
    """The folder of a small network that nobody trained, with changes of what model.json says."""
    keras.utils.set_random_seed(seed)
    network, cell = build_model("resnet", (48, 48, 1), 7, filters=4), folder.with_name(f"{folder.name}-cell")
    cell.mkdir(exist_ok=True)
    (cell / "model.keras").write_bytes(fit.model_bytes(network))
    write_model_folder(folder, cell, tiny_network(), {**INFO, "input": INPUT, **changes})
    return folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A network of the tests' own in place of this program's."""
    folder = write_network(tmp_path / "pretrained")
    for module in (pretrained, fingerprints):
        monkeypatch.setattr(module, "PRETRAINED", folder)
    return folder


def transfer(channels: int = 1, side: int = 48, **options: object) -> keras.Model:
    return build_model("transfer", (side, side, channels), 7, backbone="pretrained", **options)


def features(model: keras.Model, faces: np.ndarray) -> np.ndarray:
    until = keras.Model(model.input, model.get_layer("features").output)
    return until.predict(faces.astype(np.float32), verbose=0)


@pytest.mark.parametrize("options", [{}, {"trainable": True, "norm_momentum": 0.8}])
def test_its_features_are_those_of_the_network_in_grey_and_in_colour(folder, options):
    network = load_model(folder / "model.keras")
    pooling = next(
        layer for layer in network.layers if "pooling" in layer.name and len(layer.output.shape) == 2
    )
    expected = keras.Model(network.input, pooling.output).predict(GREY / np.float32(255), verbose=0)
    largest = np.abs(expected).max()
    assert np.abs(features(transfer(1, **options), GREY) - expected).max() < 1e-5 * largest
    assert (
        np.abs(features(transfer(3, **options), COLOURS) - expected).max() < 5e-3 * largest
    )  # grey is rounded


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_the_head_learns_on_shared_features_then_the_whole_and_what_is_saved_needs_no_folder(
    folder, precision, tmp_path, monkeypatch
):
    plan = PLAN.model_copy(
        update={"fine_tune": FineTune(learning_rate=1e-3, epochs=1), "precision": precision}
    )
    shared = []
    store = partial(ensure_parts, tmp_path / "features", lambda done, rows: shared.append(done))
    fitted = fit.fit(transfer, ARRAYS, plan, 5, lambda row: None, store=store)
    assert shared[-1] == 30 and len(fitted.history) == 3
    norms = [one for one in fitted.model._flatten_layers() if isinstance(one, BatchNormalization)]
    assert norms and not any(one.trainable for one in norms)
    assert len(fitted.model.trainable_weights) > 2  # in the end the backbone learnt, too
    monkeypatch.setattr(pretrained, "PRETRAINED", tmp_path / "gone")
    (tmp_path / "cell.keras").write_bytes(fit.model_bytes(fitted.model))
    loaded, faces = load_model(tmp_path / "cell.keras"), GREY.astype(np.float32)
    assert np.array_equal(fit.predict(loaded, faces), fit.predict(fitted.model, faces))
    if precision == "float32":
        assert np.abs(run_onnx(to_onnx(loaded), faces) - fit.predict(loaded, faces)).max() < 1e-5


def test_frozen_its_features_are_computed_by_openvino(folder):
    split = frozen_backbone.split_backbone(transfer())
    compute = frozen_backbone.compile_inference(split.extractor)
    expected = features(transfer(), GREY)
    assert "openvino" in compute.__qualname__
    assert np.abs(compute(GREY.astype(np.float32)) - expected).max() < 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"side": 32}, "takes pictures of 48 x 48 px; this recipe gives .32, 32, 1.: take recipe gray48"),
        ({"channels": 2}, "takes grey or RGB pictures"),
        ({"alpha": 0.5}, "pretrained has no alpha"),
        ({"weights": "imagenet"}, "has weights of its own; leave `weights` out"),
        ({"weights": "none"}, "has weights of its own; leave `weights` out"),
    ],
)
def test_what_it_cannot_take_is_refused(folder, options, reason):
    with pytest.raises(BadModel, match=reason):
        transfer(**options)


def cell(**options: object) -> Cell:
    plan = PLAN.model_dump()
    return Cell(
        id="probe", model="transfer", options={"backbone": "pretrained", **options}, recipe="g", **plan
    )


def recipe_of(root: Path, faces: np.ndarray) -> Dataset:
    """Features of a recipe: pictures to learn from and to validate on."""
    table = pd.DataFrame({"image_id": [f"{i:016x}" for i in range(len(faces))]})
    table = table.assign(label=EXPRESSIONS[0], split=["train"] * 30 + ["val"] * 10)
    root.mkdir(parents=True)
    np.save(root / "X.npy", faces)
    info = write_dataset(root, table, table.iloc[:0].assign(reason="", detail=""), {}, {})
    return Dataset(root, table, table.iloc[:0], info)


def cut(folder: Path) -> None:
    data = (folder / "model.keras").read_bytes()
    (folder / "model.keras").write_bytes(data[: len(data) // 2])


def newer(folder: Path) -> None:
    text = (folder / "model.json").read_text()
    (folder / "model.json").write_text(text.replace('"schema": 2', '"schema": 99'))


BAD: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing": (lambda folder: folder.rename(folder.with_name("other")) and None, "there is no folder"),
    "without its record": (lambda folder: (folder / "model.json").unlink(), "has no model.json"),
    "without its network": (lambda folder: (folder / "model.keras").unlink(), "has no model.keras"),
    "cut": (cut, "model.keras is damaged"),
    "of a newer schema": (newer, "has schema 99, and this program knows 2"),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_folder_is_told_before_anything_trains(folder, tmp_path, fault):
    recipe_of(tmp_path / "features" / "g", GREY)
    assert check_cells([cell()], tmp_path / "features", lambda message: None) == []
    spoil, reason = BAD[fault]
    spoil(folder)
    [line] = check_cells([cell()], tmp_path / "features", lambda message: None)
    assert line.startswith("cell probe: backbone pretrained: ") and reason in line and str(folder) in line
    assert line.endswith("`git checkout -- pretrained` brings back the one that came with this program")


def test_a_recipe_that_rescales_is_told_before_anything_trains(folder, tmp_path):
    recipe_of(tmp_path / "features" / "g", GREY / np.float32(255))
    [line] = check_cells([cell()], tmp_path / "features", lambda message: None)
    assert (
        line
        == "cell probe: backbone pretrained takes values 0..255, and recipe g gives 0..1: leave out `rescale`"
    )


def test_another_network_makes_another_cell_and_other_features(folder, tmp_path):
    data = recipe_of(tmp_path / "features" / "g", GREY)
    scratch = Cell(
        id="scratch", model="resnet", recipe="g", **PLAN.model_copy(update={"views": 0}).model_dump()
    )
    cells = {"probe": cell(), "scratch": scratch}

    def prints() -> tuple[str, str, str]:
        of_cells = grid_fingerprints(Grid(cells=[*cells.values()]), cells, {"g": data}, 1)
        return of_cells["probe"], features_group(cells["probe"], data, 1), of_cells["scratch"]

    before = prints()
    assert prints() == before
    write_network(folder, seed=1)
    after = prints()
    assert after[0] != before[0] and after[1] != before[1] and after[2] == before[2]
