"""What a network sees in a face: the same crop as in a photo, each face for itself."""

import json

import cv2
import numpy as np
import openvino
import pytest
from skimage import data

from fer_tasks.cleaning.network_features import OPTIONS, ZOOMS, framed, see
from fer_tasks.faces.choose import main_face, whole_picture
from fer_tasks.faces.crop import cut_face, side_in_crop, transform_of
from fer_tasks.faces.detector import detect_faces
from fer_tasks.recipes import make_transform
from testing.tiny_model import RECIPE, tiny_network

PHOTO = data.astronaut()
TRANSFORM = make_transform(RECIPE)


@pytest.fixture(scope="module")
def face() -> dict:
    [found] = detect_faces([PHOTO], 640, "fast")
    return main_face(found, PHOTO.shape, 0.9, 24)


def cut(face: dict, margin: float) -> tuple[np.ndarray, dict]:
    """A crop of the stage, and the manifest's row of it."""
    transform = transform_of(face, margin, 150)
    return cut_face(PHOTO, transform, PHOTO.shape, 150), {**face, "transform": json.dumps(transform.tolist())}


@pytest.mark.parametrize(("margin", "wanted"), [(0.2, 0.2), (0.2, -0.16), (0.5, 0.1), (0.4, 0.6)])
def test_a_crop_is_framed_as_if_it_were_cut_from_the_photo(face, margin, wanted):
    crop, row = cut(face, margin)
    side = side_in_crop(row, wanted)
    assert side == pytest.approx(150 * (1 + wanted) / (1 + margin), rel=1e-3)
    ours, direct = framed(crop, side), cut(face, wanted)[0]
    assert len(ours) == pytest.approx(side, abs=1)
    middle = slice(40, 110)  # beyond the crop's border there is nothing but its mirror
    alike = cv2.resize(ours, (150, 150))[middle, middle].astype(int) - direct[middle, middle]
    assert np.abs(alike).mean() < 6


def test_a_picture_that_is_a_face_is_shown_whole():
    row = {**whole_picture((48, 48)), "transform": "[[3.125, 0, 0], [0, 3.125, 0]]"}
    assert side_in_crop(row, 0.4) == 150


def test_what_is_seen_is_what_the_network_answers_from():
    rng = np.random.default_rng(0)
    image = cv2.resize(rng.integers(0, 256, (9, 9, 3), np.uint8), (150, 150))
    seen = see(image, 150, TRANSFORM, tiny_network())
    assert seen.shape == (16 * len(ZOOMS) + 7,) and seen.dtype == np.float32
    network = openvino.Core().compile_model(openvino.Core().read_model(tiny_network()), "CPU", OPTIONS)
    views = np.stack([TRANSFORM(framed(image, 150 / zoom)) for zoom in ZOOMS])
    assert seen[-7:] == pytest.approx(np.log(network(views)[0]).mean(axis=0), abs=1e-4)
    assert seen[:-7] == pytest.approx(views.reshape(-1, 4, 8, 4, 8).mean(axis=(2, 4)).ravel(), abs=1e-5)
