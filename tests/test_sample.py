"""The generated sample: the same every time, with every fault that cleaning must catch."""

import cv2
import numpy as np
import pytest

from fer_tasks.labels import EXPRESSIONS
from fer_tasks.sources.sample.defects import IN_PHOTO
from fer_tasks.sources.sample.photos import FAULTS, IN_FILE, draw_class, plan
from fer_tasks.sources.sample.portraits import PARTS, Look, draw_face
from fer_tasks.storage.images import BadImage, decode_image, perceptual_hash

SMALL = (8, 4, 7)


@pytest.fixture(scope="module")
def photos() -> dict[str, bytes]:
    return {path: data for e in EXPRESSIONS for path, data in draw_class(e, *SMALL).items()}


@pytest.fixture(scope="module")
def faults() -> dict[str, str]:
    return {photo.path: photo.fault for e in EXPRESSIONS for photo in plan(e, *SMALL)}


@pytest.mark.slow
def test_its_files_are_those_of_the_plan(photos, faults):
    assert set(photos) == set(faults) and len(photos) == 7 * 12
    assert sum("train/happy/" in path for path in photos) == 8


@pytest.mark.slow
def test_the_same_arguments_give_the_same_bytes(photos):
    again = draw_class("fear", *SMALL)
    assert all(photos[path] == data for path, data in again.items())
    assert again != draw_class("fear", 8, 4, 8)


def test_sound_photos_decode_and_differ_in_size(photos, faults):
    shapes = {decode_image(photos[path], 10**6).shape for path, fault in faults.items() if not fault}
    assert len(shapes) > 20 and min(min(shape[:2]) for shape in shapes) > 80


def test_files_that_cannot_be_decoded(photos, faults):
    bad = {fault: path for path, fault in faults.items() if fault in ("half_a_file", "no_picture")}
    assert len(bad) == 2
    for path in bad.values():
        with pytest.raises(BadImage):
            decode_image(photos[path], 10**6)


def test_the_same_file_under_two_labels_and_twice_under_one(photos, faults):
    two = [photos[path] for path, fault in faults.items() if fault == "two_labels"]
    assert len(two) == 2 and two[0] == two[1]
    double = next(path for path, fault in faults.items() if fault == "duplicate")
    assert sum(data == photos[double] for data in photos.values()) == 2


def test_near_copies_lie_across_the_splits(faults):
    copies = [path for path, fault in faults.items() if fault == "near_copy"]
    assert len(copies) == 7 and all(path.startswith("train/") for path in copies)


def test_near_copies_are_near_one_photo_of_the_test_split_and_no_other(photos, faults):
    usable = [path for path, fault in faults.items() if fault in ("", "near_copy")]
    looks = {path: int(perceptual_hash(decode_image(photos[path], 10**6)), 16) for path in usable}
    for copy in (path for path in usable if faults[path] == "near_copy"):
        near = [path for path in usable if (looks[path] ^ looks[copy]).bit_count() <= 24]
        assert len(near) == 2 and sum(path.startswith("test/") for path in near) == 1


@pytest.mark.parametrize(("train", "test"), [(60, 15), (12, 5), (8, 4)])
def test_a_sample_of_any_size_has_every_fault_and_is_mostly_sound(train, test):
    found = [photo.fault for e in EXPRESSIONS for photo in plan(e, train, test, 2021)]
    assert set(found) == {"", *FAULTS, *(f for kinds in IN_FILE.values() for f in kinds)}
    assert 0.5 < found.count("") / len(found) < 0.8


def test_a_file_is_what_its_suffix_says(photos, faults):
    for path, data in photos.items():
        if faults[path] != "no_picture":
            assert data.startswith(b"\x89PNG" if path.endswith(".png") else b"\xff\xd8"), path


def test_expressions_move_the_face():
    rest = Look(0.3, 1.0, 0.0, np.zeros((len(PARTS), 2)))
    drawn = {e: draw_face(e, rest)[0].astype(int) for e in EXPRESSIONS}
    for expression in set(EXPRESSIONS) - {"neutral"}:
        assert np.abs(drawn[expression] - drawn["neutral"])[90:240, 90:230].mean() > 4
    mouth = {e: cv2.cvtColor(drawn[e].astype(np.uint8), cv2.COLOR_RGB2GRAY)[195:240, 145:175] for e in drawn}
    assert (mouth["surprise"] < 50).mean() > 0.2 > (mouth["neutral"] < 50).mean()


@pytest.mark.parametrize("fault", IN_PHOTO)
def test_a_fault_changes_the_photo_and_not_its_size(fault):
    photo = np.full((200, 160, 3), 120, np.uint8)
    photo[80:120] = 180
    changed = IN_PHOTO[fault](photo, (80.0, 80.0, 40.0), np.random.default_rng(0))
    assert changed.shape == photo.shape and changed.dtype == np.uint8 and (changed != photo).any()


@pytest.mark.slow
def test_mtcnn_finds_nearly_all_sound_faces(photos, faults):
    from fer_tasks.faces.detector import detect_faces

    sound = [decode_image(photos[path], 10**6) for path, fault in faults.items() if not fault]
    found = [len(faces.scores) > 0 for faces in detect_faces(sound, 640)]
    assert np.mean(found) > 0.93
