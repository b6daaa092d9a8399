"""Detection, choice, cutting and measuring of faces."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from skimage import data

from fer_tasks.faces.choose import choose_face, main_face, whole_picture
from fer_tasks.faces.crop import cut_face, enough_for, face_transform
from fer_tasks.faces.detector import Faces, detect_faces
from fer_tasks.faces.signals import light_signals, pose_signals, roll, scene_signals
from fer_tasks.storage import images
from fer_tasks.storage.images import decode_image
from flows.crop_faces import cut

LEVEL = np.array([[40, 30], [40, 70], [60, 50], [80, 35], [80, 65]], float)


def faces(*boxes: tuple[float, float, float, float], scores: list[float] | None = None) -> Faces:
    n = len(boxes)
    return Faces(
        np.array(boxes, float).reshape(n, 4),
        np.repeat(LEVEL[None], n, axis=0),
        np.array(scores or [0.99] * n, float),
    )


def turned(points: np.ndarray, degrees: float) -> np.ndarray:
    """Points (row, column) turned about (50, 50) so that the right one of two comes to lie lower."""
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return (points - 50) @ turn.T + 50


@pytest.mark.parametrize("mode", ["exact", "fast"])
def test_the_astronaut_is_found(mode):
    photo = data.astronaut()
    found = list(detect_faces([photo, np.zeros((40, 40, 3), np.uint8)], max_side=640, mode=mode))
    assert [len(each.scores) for each in found] == [1, 0]
    row, column, height, width = found[0].boxes[0]
    assert 50 < row < 110 and 150 < column < 210 and 90 < height < 170 and 60 < width < 130
    assert found[0].scores[0] > 0.99
    left, right, nose, mouth_left, mouth_right = found[0].landmarks[0]
    assert left[1] < nose[1] < right[1] and left[0] < nose[0] < mouth_left[0]


def test_a_large_photo_is_shrunk_and_its_boxes_are_not():
    photo = data.astronaut()
    small, large = detect_faces([photo, cv2.resize(photo, None, fx=4, fy=4)], max_side=512)
    assert np.abs(large.boxes[0] / 4 - small.boxes[0]).max() < 6


@pytest.mark.parametrize("side", [1, 11, 23, 24, 30])
def test_tiny_pictures_have_no_face_and_break_nothing(side):
    assert [len(f.scores) for f in detect_faces([np.full((side, side, 3), 90, np.uint8)], 640)] == [0]


def test_a_grey_picture_is_a_bad_call():
    with pytest.raises(ValueError, match="RGB"):
        list(detect_faces([np.zeros((50, 50), np.uint8)], max_side=640))


def test_the_largest_face_is_chosen_unless_it_is_in_a_corner():
    assert choose_face(faces((40, 40, 20, 20), (30, 30, 40, 40)), (100, 100)) == 1
    assert choose_face(faces((0, 0, 22, 22), (40, 40, 20, 20)), (100, 100)) == 1
    assert choose_face(faces((0, 0, 40, 40), (40, 40, 20, 20)), (100, 100)) == 0
    with pytest.raises(ValueError, match="no face"):
        choose_face(faces(), (100, 100))


def test_the_reasons_for_no_main_face():
    assert main_face(faces(), (100, 100), 0.9, 20)["reason"] == "no_face"
    low = main_face(faces((30, 30, 40, 40), scores=[0.8]), (100, 100), 0.9, 20)
    assert (low["reason"], low["detail"]) == ("low_score", "best score 0.800 < 0.9")
    small = main_face(faces((30, 30, 19, 40)), (100, 100), 0.9, 20)
    assert (small["reason"], small["detail"]) == ("face_too_small", "19 px < 20 px")


def test_a_picture_that_is_a_face_is_cut_whole():
    face, picture = whole_picture((48, 48)), data.astronaut()[:48, :48]
    box = np.array([face[f"box_{name}"] for name in ("row", "col", "height", "width")])
    assert (cut_face(picture, face_transform(box, 0.0, 0.0, 48), (48, 48), 48) == picture).all()
    assert set(face) == set(main_face(faces((30, 30, 40, 40)), (100, 100), 0.9, 20))
    assert face["landmarks"] == "" and np.isnan([face["score"], *map(face.get, pose_signals(LEVEL))]).all()
    assert (face["n_faces"], face["second_face"], face["face_share"]) == (1, 0, 1)


def test_the_rank_is_by_area_whatever_is_chosen():
    face = main_face(faces((0, 0, 22, 22), (40, 40, 20, 20)), (100, 100), 0.9, 10)
    assert (face["rank"], face["box_row"], face["n_faces"]) == (1, 40.0, 2)
    assert face["second_face"] == pytest.approx(22**2 / 20**2)


@given(st.floats(-80, 80))
def test_the_eyes_lie_level_in_the_crop(degrees):
    landmarks = turned(LEVEL, degrees)
    assert roll(landmarks) == pytest.approx(degrees, abs=1e-6)
    transform = face_transform(np.array([20, 20, 60, 60.0]), degrees, margin=0.2, size=150)
    eyes = [transform @ [column, row, 1] for row, column in landmarks[:2]]
    assert eyes[0][1] == pytest.approx(eyes[1][1], abs=1e-6)
    assert eyes[1][0] - eyes[0][0] == pytest.approx(40 * 150 / 72)
    assert transform @ [50, 50, 1] == pytest.approx([75, 75])


def test_the_crop_shows_the_box_with_its_margin():
    photo = np.zeros((100, 100, 3), np.uint8)
    photo[20:80, 20:80] = 200
    crop = cut_face(photo, face_transform(np.array([20, 20, 60, 60.0]), 0.0, 0.5, 90), (100, 100), 90)
    assert crop.shape == (90, 90, 3)
    assert crop[45, 45].tolist() == [200, 200, 200] and crop[5, 45].tolist() == [0, 0, 0]
    assert (crop[:, :, 0] > 100).sum() == pytest.approx(60 * 60, rel=0.05)


def test_a_smaller_copy_of_the_photo_gives_the_same_crop():
    photo = data.astronaut()
    transform = face_transform(np.array([60, 170, 130, 100.0]), 0.0, 0.2, 60)
    enough = enough_for(transform, *photo.shape[:2])
    assert 512 * 60 / 156 <= enough < 512
    small = cv2.resize(photo, (256, 256), interpolation=cv2.INTER_AREA)
    whole = cut_face(photo, transform, (512, 512), 60).astype(int)
    assert np.abs(cut_face(small, transform, (512, 512), 60) - whole).mean() < 4
    assert enough_for(face_transform(np.array([0, 0, 9, 9.0]), 0.0, 0.0, 60), 40, 50) == 50


def test_beyond_the_border_the_photo_is_mirrored():
    photo = np.full((60, 60, 3), 200, np.uint8)
    crop = cut_face(photo, face_transform(np.array([0, 0, 60, 60.0]), 0.0, 1.0, 48), (60, 60), 48)
    assert crop.min() == 200


def test_signals_of_pose_light_and_scene():
    assert pose_signals(LEVEL) == {"eye_distance": 40.0, "roll": 0.0, "yaw": 0.0}
    profile = LEVEL.copy()
    profile[2, 1] += 16
    assert pose_signals(profile)["yaw"] == pytest.approx(0.8)
    assert light_signals(np.full((20, 20, 3), 77, np.uint8)) == {
        "sharpness": 0.0,
        "brightness": 77.0,
        "contrast": 0.0,
        "flatness": 1.0,
    }
    checks = np.kron(np.indices((10, 10)).sum(0) % 2 * 255, np.ones((2, 2)))
    sharp = light_signals(np.repeat(checks[:, :, None], 3, axis=2).astype(np.uint8))["sharpness"]
    assert sharp > 1000
    scene = scene_signals(faces((0, 0, 10, 10), (20, 20, 20, 20)), 1, (50, 100))
    assert scene == {"n_faces": 2, "second_face": 0.25, "face_share": 0.08}


@pytest.mark.parametrize("size", [32, 48, 224, 1024])
def test_what_is_measured_does_not_depend_on_the_size_of_crops(tmp_path, size):
    Image.fromarray(data.astronaut()).save(tmp_path / "photo.jpg", quality=95)
    box = {"box_row": 60, "box_col": 170, "box_height": 130, "box_width": 100}
    face = {"path": str(tmp_path / "photo.jpg"), "height": 512, "width": 512, "landmarks": "", **box}
    found = {side: cut.fn({"face": face}, 0.2, side)["face"] for side in (size, 150)}
    png = decode_image(found[150][0], 10**6)
    light = light_signals(png)
    measured = {side: {name: row[name] for name in light} for side, (_, row) in found.items()}
    assert measured[size] == measured[150]
    assert measured[150] == light, "at the default size it is the crop itself that is measured"
    assert decode_image(found[size][0], 10**7).shape == (size, size, 3)


@pytest.mark.parametrize(
    ("name", "size", "times"),
    [("a.png", 48, 1), ("a.png", 224, 1), ("a.jpg", 48, 1), ("a.jpg", 224, 2)],
)
def test_a_large_photo_is_decoded_once_but_a_jpeg_for_each_scale(tmp_path, monkeypatch, name, size, times):
    photo = cv2.resize(data.astronaut(), (1024, 1024), interpolation=cv2.INTER_CUBIC)
    Image.fromarray(photo).save(tmp_path / name)
    box = {"box_row": 120, "box_col": 340, "box_height": 260, "box_width": 200}
    face = {"path": str(tmp_path / name), "height": 1024, "width": 1024, "landmarks": "", **box}
    usual = cut.fn({"face": face}, 0.2, 150)["face"][1]
    decode, decoded = images.decode_image, []
    monkeypatch.setattr(images, "decode_image", lambda *a, **k: decoded.append(a) or decode(*a, **k))
    found = cut.fn({"face": face}, 0.2, size)["face"][1]
    assert len(decoded) == times
    for measure in ("sharpness", "brightness", "contrast", "flatness"):
        assert found[measure] == usual[measure]


def test_coinciding_eyes_divide_by_nothing():
    signals = pose_signals(np.full((5, 2), 10.0))
    assert signals["eye_distance"] == 0 and np.isfinite(list(signals.values())).all()
