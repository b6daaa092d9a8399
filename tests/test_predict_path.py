"""What `predict` asks a network is what the line trained it on: the same arrays, so the same answers."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage import data

from apps.predict.faces import cut, find
from apps.predict.pictures import open_picture
from apps.predict.predictor import Predictor
from fer_tasks.evaluation.calibration import calibrated
from fer_tasks.faces.choose import as_face, main_face, whole_picture
from fer_tasks.faces.detector import detect_files
from fer_tasks.labels import EXPRESSIONS
from fer_tasks.recipes import transform_all
from fer_tasks.storage.images import decode_image, read_image
from flows.crop_faces import _cut
from flows.grid.model_export import run_onnx
from testing.tiny_model import CROP, INFO, RECIPE, tiny_network, write_tiny_model
from tests.predicting import ONE, TWO, group, saved

LARGE = cv2.resize(data.astronaut(), (1700, 1700), interpolation=cv2.INTER_CUBIC)
EXIF = Image.Exif()
EXIF[0x0112] = 6  # turned by a quarter
PHOTOS = {
    "one.png": saved(data.astronaut()),
    "two.jpg": saved(group(TWO, ONE), "JPEG"),
    "large.jpg": saved(LARGE, "JPEG", quality=90),  # decoded at 1/2 for its crop
    "turned.jpg": saved(np.rot90(LARGE)[:, :1400], "JPEG", quality=90, exif=EXIF),
    "small.jpg": saved(group((10, 20, 110), height=130, width=160), "JPEG"),
}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("photos")
    for name, content in PHOTOS.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in PHOTOS]


def by_the_line(photos: list[Path], size: int, whole: bool = False) -> tuple[list[dict], list[np.ndarray]]:
    """The main face of each photo, and its crop, as `download` and `crop_faces` make them."""
    shapes = {path: decode_image(path.read_bytes(), 10**8).shape[:2] for path in photos}
    found = detect_files(read_image, shapes, CROP["max_side"], CROP["mode"])
    faces = [
        whole_picture(shapes[path])
        if whole
        else main_face(one, shapes[path], CROP["min_score"], CROP["min_face"])
        for path, one in zip(photos, found, strict=True)
    ]
    margin = 0.0 if whole else CROP["margin"]
    places = [{"path": path, "height": shapes[path][0], "width": shapes[path][1]} for path in photos]
    pngs = [_cut({**place, **face}, margin, size)[0] for place, face in zip(places, faces, strict=True)]
    return faces, [decode_image(png, 10**8) for png in pngs]


@pytest.mark.parametrize("size", [150, 96, 260])
@pytest.mark.parametrize("whole", [False, True], ids=["photos", "whole"])
def test_a_face_is_cut_to_the_very_same_pixels(photos, size, whole):
    faces, crops = by_the_line(photos, size, whole)
    for path, face, crop in zip(photos, faces, crops, strict=True):
        picture = open_picture(path, bgr=False, name=None)
        own = as_face(picture.shape) if whole else find([picture], CROP, "largest")[0]
        assert own.boxes[0].round(2).tolist() == [
            face[f"box_{name}"] for name in ("row", "col", "height", "width")
        ]
        margin = 0.0 if whole else CROP["margin"]
        assert np.array_equal(cut(picture, own, 0, margin, size), crop), path.name


@pytest.mark.parametrize("whole", [False, True], ids=["photos", "whole"])
def test_the_answers_are_those_of_the_line(photos, tmp_path, whole):
    faces, crops = by_the_line(photos, CROP["size"], whole)
    inputs = transform_all(crops, RECIPE)
    expected = calibrated(run_onnx(tiny_network(), inputs), INFO["temperature"])
    predictor = Predictor(write_tiny_model(tmp_path / "model"), faces="largest", whole=whole)
    rows = [row for [row] in predictor.predict_many(photos)]
    answers = np.array([[getattr(row, name) for name in EXPRESSIONS] for row in rows])
    assert np.abs(answers - expected).max() < 1e-5
    assert [row.x for row in rows] == [round(face["box_col"], 1) for face in faces]


def test_a_recipe_of_whole_numbers_is_asked_as_it_was_trained(photos, tmp_path):
    """uint8, 0 to 255: the network was given these numbers."""
    recipe = RECIPE[:-1]
    _, crops = by_the_line(photos, CROP["size"])
    inputs = transform_all(crops, recipe).astype(np.float32)
    expected = calibrated(run_onnx(tiny_network(), inputs), INFO["temperature"])
    folder = write_tiny_model(tmp_path / "model", recipe=recipe, input={**INFO["input"], "range": [0, 255]})
    rows = [row for [row] in Predictor(folder, faces="largest").predict_many(photos)]
    answers = np.array([[getattr(row, name) for name in EXPRESSIONS] for row in rows])
    assert np.abs(answers - expected).max() < 1e-5
