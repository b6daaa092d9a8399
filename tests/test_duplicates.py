"""Near-copies share a group, mirrored and cropped ones too; others do not."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage import data

from fer_tasks.cleaning import duplicates
from fer_tasks.cleaning.description import Description, describe_files
from fer_tasks.cleaning.duplicates import (
    Pairs,
    conflicting_labels,
    correlation,
    find_copies,
    look_alikes,
    near_copies,
    near_hashes,
)
from fer_tasks.cleaning.hog import hog_of
from fer_tasks.storage.images import perceptual_hash

FACE = np.ascontiguousarray(data.astronaut()[20:200, 140:320])
OTHER = np.ascontiguousarray(data.chelsea()[:180, 100:280])
NONE = Pairs(np.empty(0, int), np.empty(0, int), np.empty(0, bool), np.empty(0))
COPIES = {
    "smaller": lambda face: cv2.resize(face, (120, 120), interpolation=cv2.INTER_AREA),
    "jpeg": lambda face: cv2.imdecode(cv2.imencode(".jpg", face, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], 1),
    "brighter": lambda face: (face * 0.8 + 30).astype(np.uint8),
}


def mirror(face: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(face[:, ::-1])


def hexadecimal(*numbers: int) -> list[str]:
    return [f"{number:064x}" for number in numbers]


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("copy", COPIES)
def test_copies_are_near_by_their_hashes_and_by_laying_them_onto_each_other(copy, mirrored):
    made = mirror(COPIES[copy](FACE)) if mirrored else COPIES[copy](FACE)
    found = near_hashes([perceptual_hash(FACE), perceptual_hash(made)], 24)
    assert (found.one.tolist(), found.two.tolist(), found.mirrored.tolist()) == ([0], [1], [mirrored])
    assert correlation(FACE, mirror(made) if mirrored else made) > 0.97


def test_a_cropped_copy_is_found_by_laying_it_onto_the_other():
    cropped = np.ascontiguousarray(FACE[7:-7, 9:-5])
    assert not len(near_hashes([perceptual_hash(FACE), perceptual_hash(cropped)], 24).one)
    assert correlation(FACE, cropped) > 0.97


def test_another_picture_is_far():
    assert not len(near_hashes([perceptual_hash(FACE), perceptual_hash(OTHER)], 60).one)
    assert correlation(FACE, OTHER) < 0.8


def test_look_alikes_are_the_nearest_as_they_are_or_mirrored():
    rng = np.random.default_rng(0)
    faces = [cv2.resize(rng.integers(0, 256, (7, 7, 3), np.uint8), (96, 96)) for _ in range(120)]
    faces += [np.ascontiguousarray(faces[3][2:-2, 2:-2]), mirror(faces[5])]
    hogs = np.stack([hog_of(face) for face in faces])
    found = look_alikes(hogs, np.stack([hog_of(mirror(face)) for face in faces]), 0.6)
    pairs = set(zip(found.one.tolist(), found.two.tolist(), found.mirrored.tolist(), strict=True))
    assert pairs == {(3, 120, False), (5, 121, True)}


@pytest.mark.parametrize("n", [12, 40])
def test_of_few_faces_half_of_them_copies_each_copy_is_found(n):
    rng = np.random.default_rng(1)
    faces = [cv2.resize(rng.integers(0, 256, (7, 7, 3), np.uint8), (96, 96)) for _ in range(n)]
    faces += [np.ascontiguousarray(face[3:-5, 5:-3]) for face in faces]
    hogs = np.stack([hog_of(face) for face in faces])
    found = look_alikes(hogs, np.stack([hog_of(mirror(face)) for face in faces]), 0.6)
    assert {(k, n + k) for k in range(n)} <= set(zip(found.one.tolist(), found.two.tolist(), strict=True))


def test_copies_are_found_by_the_photo_s_hash_and_mirrored_crops_by_laying_them_on():
    images = {"a": FACE, "b": mirror(FACE[6:-6, 6:-6]), "c": OTHER, "d": mirror(OTHER), "e": FACE[::-1]}
    hashes = hexadecimal(0, 2**200 - 1, 2**60 - 1, 2**60 - 2, 2**256 - 2**200)
    faces = pd.DataFrame({"image_id": list(images), "photo_phash": hashes, "path": list(images)})

    def read(path: Path) -> np.ndarray:
        return np.ascontiguousarray(images[path.name])

    described = describe_files(read, [Path(name) for name in images])
    stacked = Description(*(np.stack(numbers) for numbers in zip(*described, strict=True)))
    table = find_copies(read, faces, stacked, max_bits=4, min_correlation=0.9)
    assert table["group_id"].tolist() == ["a", "a", "c", "c", "e"]
    assert table["copy_of"].tolist()[:2] == ["b", "a"] and table["copy_bits"][2] == 1
    assert table["copy_correlation"][0] > 0.9 and np.isnan(table["copy_bits"][0])


def groups_of(ids: list[str], hashes: list[str], limit: int) -> list[str]:
    return near_copies(ids, near_hashes(hashes, limit), NONE)["group_id"].tolist()


def test_groups_are_chains_named_by_their_smallest_id():
    hashes = hexadecimal(0, 0b11, 0b1111, 2**64 - 1)
    assert groups_of(["d", "c", "b", "a"], hashes, 2) == ["b", "b", "b", "a"]
    assert groups_of(["d", "c", "b", "a"], hashes, 1) == ["d", "c", "b", "a"]
    assert groups_of([], [], 2) == []


def test_each_names_its_nearest_copy_and_how_near_it_is():
    by_hash = Pairs(np.array([0, 0]), np.array([1, 2]), np.array([False, False]), np.array([9.0, 4.0]))
    by_look = Pairs(np.array([2]), np.array([3]), np.array([True]), np.array([0.98]))
    table = near_copies(list("abcde"), by_hash, by_look)
    assert table["group_id"].tolist() == ["a", "a", "a", "a", "e"]
    assert table["copy_of"].tolist() == ["c", "a", "a", "c", ""]
    assert table["copy_bits"].fillna(-1).tolist() == [4, 9, 4, -1, -1]
    assert table["copy_correlation"].fillna(-1).tolist() == [-1, -1, 0.98, 0.98, -1]


@given(st.integers(1, 40), st.integers(0, 60), st.integers(1, 9))
def test_groups_are_those_of_all_pairs_whatever_the_block(n, limit, block):
    rng = np.random.default_rng(n)
    numbers = [int.from_bytes(rng.bytes(8)) for _ in range(n)]
    ids = [f"{i:03}" for i in rng.permutation(n)]
    near = np.array([[(a ^ b).bit_count() <= limit for b in numbers] for a in numbers])
    flips = int.from_bytes(bytes.fromhex("55" * 32))
    near |= np.array([[(a ^ b ^ flips).bit_count() <= limit for b in numbers] for a in numbers])
    reach = np.linalg.matrix_power(near.astype(float), n) > 0
    expected = [min(np.array(ids)[row]) for row in reach]
    before, duplicates.BLOCK = duplicates.BLOCK, block
    try:
        assert groups_of(ids, hexadecimal(*numbers), limit) == expected
    finally:
        duplicates.BLOCK = before


def test_copies_under_two_labels_are_told_with_one_of_the_other_label():
    rows = [("a", "p", "happy"), ("b", "p", "sad"), ("c", "q", "fear"), ("d", "q", "fear")]
    found = conflicting_labels(pd.DataFrame(rows, columns=["image_id", "group_id", "label"]))
    assert found[["image_id", "other"]].to_numpy().tolist() == [["a", "b"], ["b", "a"]]
    assert set(found["rule"]) == {"conflicting_labels"}
    assert found["detail"].iloc[0] == "the same face under happy, sad"
