"""The network to begin from: how it is framed, released and asked."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from apps.predict import predictor
from apps.predict.predictor import Predictor
from fer_tasks.errors import UserError
from fer_tasks.faces.choose import choose_face, outline
from fer_tasks.faces.crop import cut_face, transform_of
from fer_tasks.faces.detector import detect_faces
from fer_tasks.labels import VOTES
from fer_tasks.storage.dataset import image_id, write_dataset, write_image
from fer_tasks.storage.images import encode_png
from flows.pretrained import framing, release
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
    """data/clean of twelve faces on which taggers voted."""
    rows = []
    for i in range(12):
        data = encode_png(np.clip(portrait(0.3).astype(int) + i, 0, 255).astype(np.uint8))
        file = write_image(tmp_path / "clean", image_id(data), data)
        rows.append(
            {"image_id": image_id(data), "pixels": str(i), "file": file, "label": "happy", "split": "train"}
        )
    manifest = pd.DataFrame(rows).assign(**dict.fromkeys(VOTES, 0.125))
    write_dataset(tmp_path / "clean", manifest, manifest.iloc[:0].assign(reason="", detail=""), {}, {})
    return tmp_path / "clean"


FIGURES = {"faces": 3000, "accuracy": 0.81, "accuracy_low": 0.8, "accuracy_high": 0.82, "mean_recall": 0.6}
FIGURES |= {"ece_after": 0.02, "answered": 0.9, "answered_accuracy": 0.85, "data": "fer2013, test split"}
TRAINED = {
    "name": "pretrained",
    "parameters": 1_489_607,
    "figures": {"test": {**FIGURES, "balanced": FIGURES}},
}


def test_what_is_released_is_a_model_with_the_crop_that_suits_it_and_a_card(clean, tmp_path):
    best = write_tiny_model(tmp_path / "best", **TRAINED)
    with zipfile.ZipFile(best / "model.keras", "w") as file:  # as Keras writes it
        file.writestr("model.weights.h5", bytes(10**6))
    release(best, clean, tmp_path / "pretrained")
    files = {file.name for file in (tmp_path / "pretrained").iterdir()}
    assert files == {"model.keras", "model.onnx", "model.json", "CARD.md"}
    crop = json.loads((tmp_path / "pretrained" / "model.json").read_text())["crop"]
    assert crop["mode"] == "fast" and crop["margin"] == pytest.approx(0.3, abs=0.12)
    with zipfile.ZipFile(tmp_path / "pretrained" / "model.keras") as file:
        assert file.read("model.weights.h5") == bytes(10**6)
    assert (tmp_path / "pretrained" / "model.keras").stat().st_size < 10**4
    card = (tmp_path / "pretrained" / "CARD.md").read_text()
    assert "| accuracy | 81.0 % (80.0 % to 82.0 %) | 81.0 % |" in card.replace("\u00a0", " ").replace(
        "\u202f", " "
    )
    assert "{" not in card and "not what a person feels" in card
    [row] = Predictor(tmp_path / "pretrained").predict(np.asarray(astronaut()))
    assert row.status in ("ok", "uncertain")


def test_another_model_or_a_source_without_votes_is_not_released(clean, tmp_path):
    with pytest.raises(UserError, match="is tiny, not the cell pretrained"):
        release(write_tiny_model(tmp_path / "tiny"), clean, tmp_path / "pretrained")
    (clean / "manifest.csv").write_text((clean / "manifest.csv").read_text().replace("votes_", "other_"))
    with pytest.raises(UserError, match="has no votes"):
        release(write_tiny_model(tmp_path / "best", **TRAINED), clean, tmp_path / "pretrained")
    assert not (tmp_path / "pretrained").exists()


def test_where_nobody_has_trained_a_model_the_pretrained_one_answers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        predictor, "PRETRAINED", write_tiny_model(tmp_path / "program" / "pretrained", name="shipped")
    )
    assert Predictor().model.startswith("shipped@")
    write_tiny_model(tmp_path / "models" / "best", name="own")
    assert Predictor().model.startswith("own@")
