"""A released model is asked about a build's test faces as it would see them itself."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fer_tasks.storage.dataset import named_from, write_dataset, write_image
from fer_tasks.storage.images import decode_image, encode_png
from fer_tasks.storage.model_folder import read_model_folder
from flows import asking
from flows.asking import Unusable, fetch, milliseconds, predict
from flows.crop_faces import cut
from flows.registry import Release
from testing.tiny_model import CROP, write_tiny_model

LANDMARKS = [[30.0, 30.0], [34.0, 60.0], [45.0, 45.0], [58.0, 33.0], [60.0, 57.0]]
FACE = {"height": 120, "width": 100, "box_row": 20.0, "box_col": 20.0, "box_height": 50.0, "box_width": 45.0}
NOTHING = pd.DataFrame(columns=["image_id", "reason", "detail"])


@pytest.fixture
def faces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """A photo and its face, as today's settings cut it."""
    monkeypatch.chdir(tmp_path)
    photo = np.random.default_rng(0).integers(0, 256, (120, 100, 3), np.uint8)
    raw = pd.DataFrame({"image_id": ["p"], "file": [write_image(asking.RAW, "p", encode_png(photo))]})
    write_dataset(asking.RAW, raw, NOTHING, {}, {})
    row = {**FACE, "image_id": "p-0", "parent_id": "p", "landmarks": json.dumps(LANDMARKS), "split": "test"}
    faces = pd.DataFrame([{**row, "file": write_image(asking.FACES, "p-0", cut_by_stage(CROP))}])
    made_from = {str(asking.FACES): write_dataset(asking.FACES, faces, NOTHING, {}, CROP)["fingerprint"]}
    clean = faces.assign(file=named_from(asking.CLEAN, asking.FACES, faces["file"]))
    write_dataset(asking.CLEAN, clean, NOTHING, made_from, {})
    return clean


def cut_by_stage(crop: dict) -> bytes:
    """The face as crop_faces cuts it by these settings."""
    face = {**FACE, "landmarks": json.dumps(LANDMARKS), "path": next(asking.RAW.rglob("p.png"))}
    return cut.fn({"p": face}, crop["margin"], crop["size"])["p"][0]


@pytest.fixture
def fetching(monkeypatch: pytest.MonkeyPatch) -> Callable[..., object]:
    """A function that fetches a release whose model.json has these changes."""

    def fetch_changed(**changes: object) -> object:
        def fetched(commit: str, folder: Path) -> tuple[Path, Path]:
            (folder / "manifest.csv").write_text("image_id,split\n")
            return write_tiny_model(folder / "best", **changes), folder / "manifest.csv"

        monkeypatch.setattr(asking, "fetch_release", fetched)
        return fetch(Release("v1.0.0", "abc", None, {}))

    return fetch_changed


@pytest.mark.parametrize("changed", [{}, {"margin": 0.6}, {"size": 64}])
def test_faces_are_cut_as_the_model_has_learnt_them(faces, changed):
    crop = {**CROP, **changed}
    (crop_of_model,) = asking._crops(faces, crop)
    assert (crop_of_model == decode_image(cut_by_stage(crop), 10**6)).all()


def test_an_expression_that_a_model_never_saw_is_no_answer(faces, tmp_path):
    model = read_model_folder(write_tiny_model(tmp_path / "best"))
    (answer,) = predict(model, faces)
    prior = [0.0 if k == answer else 1 / 6 for k in range(7)]
    (other,) = predict(model._replace(info={**model.info, "prior": prior}), faces)
    assert other != answer and predict(model, faces[:0]).shape == (0,) and milliseconds(model) > 0


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"labels": ["joy", "rage"]},
            "v1.0.0 cannot be asked: best/model.json: its labels are joy, rage, not",
        ),
        ({"recipe": [{"op": "sharpen"}]}, "cannot be asked: no step 'sharpen'"),
        ({"onnx": {"reason": "no"}}, "best has no model.onnx"),
    ],
)
def test_a_champion_that_this_program_cannot_use(fetching, changes, says):
    with pytest.raises(Unusable, match=says):
        fetching(**changes)


def test_a_network_that_cannot_be_run_is_told(fetching, monkeypatch):
    monkeypatch.setattr("testing.tiny_model.tiny_network", lambda seed: b"no network")
    with pytest.raises(Unusable, match="its model.onnx cannot be run"):
        fetching()
