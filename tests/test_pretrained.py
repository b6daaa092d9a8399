"""The network to begin from: how it is framed, released and asked."""

import json
import re
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from apps.predict import predictor
from apps.predict.predictor import Predictor
from fer_tasks.errors import UserError
from fer_tasks.faces.choose import choose_face, outline
from fer_tasks.faces.crop import cut_face, transform_of
from fer_tasks.faces.detector import detect_faces
from fer_tasks.labels import VOTES
from fer_tasks.settings import load_grid
from fer_tasks.storage.dataset import image_id, read_dataset, write_dataset, write_image
from fer_tasks.storage.images import encode_png
from flows.pretrained import framing, release
from flows.pretrained_figures import over_crops
from testing.films import astronaut
from testing.tiny_model import write_tiny_model


def portrait(margin: float) -> np.ndarray:
    """The astronaut's face, cut with a margin as `crop_faces` cuts it: (48, 48, 3) uint8."""
    photo = np.asarray(astronaut())
    [faces] = detect_faces([photo], max(photo.shape))
    face = outline(faces, choose_face(faces, photo.shape))
    return cut_face(photo, transform_of(face, margin, 48), photo.shape[:2], 48)


@pytest.mark.parametrize("margin", [0.1, 0.4, 0.8])
def test_the_framing_of_pictures_is_the_margin_they_were_cut_with(margin):
    assert framing([portrait(margin)] * 3) == pytest.approx(margin, abs=0.12)


def test_pictures_without_a_face_have_no_framing():
    with pytest.raises(UserError, match="no face is found"):
        framing([np.zeros((48, 48, 3), np.uint8)])


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    """data/clean of faces on which taggers voted: happy ones to learn from, two sad ones to test on."""
    rows = []
    for i in range(12):
        data = encode_png(np.clip(portrait(0.3).astype(int) + i, 0, 255).astype(np.uint8))
        file = write_image(tmp_path / "clean", image_id(data), data)
        split, label = ("train", "happy") if i < 9 else ("val", "happy") if i == 9 else ("test", "sad")
        rows.append(
            {"image_id": image_id(data), "pixels": str(i), "file": file, "label": label, "split": split}
        )
    manifest = pd.DataFrame(rows).assign(**dict.fromkeys(VOTES, 0.125))
    write_dataset(tmp_path / "clean", manifest, manifest.iloc[:0].assign(reason="", detail=""), {}, {})
    return tmp_path / "clean"


FIGURES = {"faces": 3000, "accuracy": 0.81, "accuracy_low": 0.8, "accuracy_high": 0.82, "mean_recall": 0.6}
FIGURES |= {"ece_before": 0.05, "ece_after": 0.02, "answered": 0.9, "answered_accuracy": 0.85}
FIGURES |= {"coverage_0.9": 0.91, "set_size_0.9": 1.4, "data": "fer2013, test split"}
TRAINED = {
    "name": "pretrained",
    "parameters": 1_489_607,
    "figures": {"test": {**FIGURES, "balanced": {**FIGURES, "accuracy": 0.78}}},
    "versions": {"python": "3.11.9", "keras": "3.15.1"},
}
MADE = {
    "settings": {**load_grid("pretrained").cells[0].model_dump(), "seed": 7},
    "left_out": {"mostly_other": 1234},
    "best_epoch": 51,
    "batch_size": 128,
    "train_seconds": 12_345.6,
}


@pytest.fixture
def best(tmp_path: Path) -> Path:
    """models/best of the cell that is released, with the cell's own record beside it."""
    folder = write_tiny_model(tmp_path / "best", **TRAINED)
    (folder / "cell.json").write_text(json.dumps(MADE))
    with zipfile.ZipFile(folder / "model.keras", "w") as file:  # as Keras writes it
        file.writestr("model.weights.h5", bytes(10**6))
    return folder


def test_what_is_released_is_a_model_with_the_crop_that_suits_it_and_a_card(best, clean, tmp_path):
    release(best, clean, tmp_path / "pretrained")
    files = {file.name for file in (tmp_path / "pretrained").iterdir()}
    assert files == {"model.keras", "model.onnx", "model.json", "CARD.md"}
    crop = json.loads((tmp_path / "pretrained" / "model.json").read_text())["crop"]
    assert crop["mode"] == "fast" and crop["margin"] == pytest.approx(0.3, abs=0.12)
    with zipfile.ZipFile(tmp_path / "pretrained" / "model.keras") as file:
        assert file.read("model.weights.h5") == bytes(10**6)
    assert (tmp_path / "pretrained" / "model.keras").stat().st_size < 10**4
    [row] = Predictor(tmp_path / "pretrained").predict(np.asarray(astronaut()))
    assert row.status in ("ok", "uncertain")


def test_the_figures_of_the_test_pictures_are_those_of_the_released_model(best, clean, tmp_path):
    release(best, clean, tmp_path / "pretrained")
    test = json.loads((tmp_path / "pretrained" / "model.json").read_text())["figures"]["test"]
    faces = read_dataset(clean).manifest.query("split == 'test'")
    model = Predictor(tmp_path / "pretrained", whole=True)
    said = [model.predict(clean / file)[0].expression for file in faces["file"]]
    assert test["by_expression"] == {"sad": test["by_expression"]["sad"]}
    assert test["by_expression"]["sad"]["faces"] == 2
    assert test["by_expression"]["sad"]["recall"] == said.count("sad") / 2
    assert test["over_crops"]["faces"] == 2
    assert [*test["over_crops"]["accuracy"]] == ["0.7", "0.8", "0.9", "1", "1.1"]


def test_the_card_tells_figures_with_their_doubt_limits_and_how_it_was_made(best, clean, tmp_path):
    release(best, clean, tmp_path / "pretrained")
    card = (tmp_path / "pretrained" / "CARD.md").read_text()
    card = " ".join(card.replace("\u00a0", " ").replace("\u202f", " ").split())
    assert "| accuracy | **81.0 %** (80.0 % to 82.0 %) | 78.0 % (80.0 % to 82.0 %) |" in card
    assert (
        "9 of them taught it, 1 chose the epoch" in card
        and "1,234 that most taggers call none of the seven" in card
    )
    assert "| seed | 7;" in card and "| time | 3 h 26 min on 1 thread of " in card
    assert "| crop | 0.7 | 0.8 | 0.9 | 1 | 1.1 | |---|---|---|---|---|---| | accuracy | " in card
    assert "| sad | 2 | " in card and "not what a person feels" in card and "Article 5(1)(f)" in card
    assert re.search(r"\{|\}|nan|None|Undefined", card) is None


def test_a_crop_that_shows_less_than_the_picture_is_cut_from_it():
    faces = [np.asarray(Image.fromarray(portrait(0.3)).resize((48, 48)))] * 2
    seen = []

    def ask(cut):
        seen.append(cut[0])
        return np.eye(7)[[3] * len(cut)]

    figures = over_crops([*faces, np.zeros((48, 48, 3), np.uint8)], np.array([3, 4, 3]), 0.2, ask)
    assert figures == {"faces": 2, "accuracy": dict.fromkeys(("0.7", "0.8", "0.9", "1", "1.1"), 0.5)}
    narrow, wide = cv2.resize(seen[0], (110, 110)), cv2.resize(seen[3], (157, 157))[24:134, 24:134]
    assert np.abs(narrow.astype(int) - wide).mean() < 12


def test_another_model_or_a_source_without_votes_is_not_released(best, clean, tmp_path):
    with pytest.raises(UserError, match="is tiny, not the cell pretrained"):
        release(write_tiny_model(tmp_path / "tiny"), clean, tmp_path / "pretrained")
    (clean / "manifest.csv").write_text((clean / "manifest.csv").read_text().replace("votes_", "other_"))
    with pytest.raises(UserError, match="has no votes"):
        release(best, clean, tmp_path / "pretrained")
    assert not (tmp_path / "pretrained").exists()


def test_where_nobody_has_trained_a_model_the_pretrained_one_answers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        predictor, "PRETRAINED", write_tiny_model(tmp_path / "program" / "pretrained", name="shipped")
    )
    assert Predictor().model.startswith("shipped@")
    write_tiny_model(tmp_path / "models" / "best", name="own")
    assert Predictor().model.startswith("own@")
