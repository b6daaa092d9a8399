"""A model's folder: it comes back as it was written, or one line says why not."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fer_tasks.errors import UserError
from fer_tasks.labels import EXPRESSIONS
from fer_tasks.storage import cells
from fer_tasks.storage.model_folder import SCHEMA, read_model_folder, write_model_folder
from tests.test_cells import TRAINED, about

INFO = {
    "name": "a",
    "fingerprint": "f" * 16,
    "labels": [*EXPRESSIONS],
    "recipe": [{"op": "gray"}, {"op": "resize", "size": 32}, {"op": "rescale"}],
    "crop": {"mode": "fast", "max_side": 640, "min_score": 0.9, "min_face": 24, "margin": 0.2, "size": 150},
    "input": {"shape": [32, 32, 1], "dtype": "float32", "range": [0, 1]},
    "temperature": 1.5,
    "doubt": {"threshold": 0.4, "answered": 0.9, "accuracy": 0.8},
    "conformal": {"scores": [0.1, 0.2], "n": 2},
    "prior": [1 / 7] * 7,
    "balanced": {"doubt": {"threshold": 0.3}, "conformal": {"scores": [0.1, 0.2], "n": 2}},
    "figures": {},
    "onnx": {"max_difference": 1e-7},
    "versions": {},
    "licence": "MIT",
}


def write(folder: Path, network: bytes | None = b"network", **changes: object) -> Path:
    cells.write_cell(folder.with_name("a"), about("a"), TRAINED)
    write_model_folder(folder, folder.with_name("a"), network, {**INFO, **changes})
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "best")


def test_a_model_comes_back_as_it_was_and_works_wherever_it_is_copied(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "elsewhere ü")
    model = read_model_folder(tmp_path / "elsewhere ü")
    assert model.onnx == b"network"
    assert model.info.items() >= {**INFO, "schema": SCHEMA, "onnx": model.info["onnx"]}.items()
    assert len(model.info["onnx"]["sha256"]) == len(model.info["keras"]["sha256"]) == 64
    assert (folder / "model.keras").read_bytes() == TRAINED.model
    assert cells.read_cell(folder) == about("a")


def test_nothing_of_the_model_before_is_left(folder):
    (folder / "other.txt").write_text("x")
    write(folder, None, onnx={"reason": "it does not run"})
    assert {file.name for file in folder.iterdir()} == {
        "cell.json",
        "history.csv",
        "model.keras",
        "model.json",
    }


def test_a_number_that_json_has_no_word_for_is_not_written(folder):
    with pytest.raises(ValueError):
        write(folder, temperature=float("nan"))


def change(**changes: object) -> Callable[[Path], object]:
    """Change values of model.json; None removes one."""

    def apply(folder: Path) -> None:
        info = {**json.loads((folder / "model.json").read_text()), **changes}
        kept = {key: value for key, value in info.items() if value is not None}
        (folder / "model.json").write_text(json.dumps(kept))

    return apply


def put(name: str, content: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(content)


def remove(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


REFUSED = {
    "no folder": (shutil.rmtree, "there is no folder .*best of a model; `dvc repro train` makes"),
    "no model.json": (remove("model.json"), "best has no model.json; copy the whole folder"),
    "no model.onnx": (remove("model.onnx"), "best has no model.onnx; copy the whole folder"),
    "no model.keras": (remove("model.keras"), "best has no model.keras; copy the whole folder"),
    "newer": (change(schema=3, labels=None), "schema 3, and this program knows 2; a newer version"),
    "older": (
        change(schema=1, labels=None),
        "schema 1, of a former version .*; `dvc repro train` makes it anew",
    ),
    "another network": (put("model.onnx", "x"), "model.onnx is damaged or of another network"),
    "other labels": (change(labels=["sad"]), "its labels are sad, not angry, disgust"),
    "half a file": (put("model.json", '{"schema": 1, "na'), "model.json is damaged .*; copy it once more"),
    "not text": (lambda folder: (folder / "model.json").write_bytes(b"\xff\0"), "model.json is damaged"),
    "other JSON": (put("model.json", "[1]"), "does not describe a model"),
    "no temperature": (change(temperature=None), "damaged: temperature is missing"),
    "a temperature of 0": (change(temperature=0), "damaged: temperature 0"),
    "true for 1": (change(temperature=True), "damaged: temperature is not of type float"),
    "half a crop": (change(crop={"mode": "fast"}), "damaged: crop.max_side is missing"),
    "a recipe in words": (change(recipe="gray"), "damaged: recipe is not of type list"),
    "no export": (
        change(onnx={"reason": "no Bitcast"}),
        "has no model.onnx, which predicting takes: no Bitcast",
    ),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_what_cannot_be_used_is_refused_in_one_line(folder, fault):
    damage, message = REFUSED[fault]
    damage(folder)
    with pytest.raises(UserError, match=message) as refused:
        read_model_folder(folder)
    assert "\n" not in str(refused.value)


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "best").write_text("x")
    with pytest.raises(UserError, match="there is no folder"):
        read_model_folder(tmp_path / "best")
