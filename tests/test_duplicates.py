"""Near-copies share a group; others do not."""

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage import data

from fer_tasks.cleaning import duplicates
from fer_tasks.cleaning.duplicates import conflicting_labels, near_copy_groups
from fer_tasks.images import perceptual_hash

FACE = np.ascontiguousarray(data.astronaut()[20:200, 140:320])


def distance(a: np.ndarray, b: np.ndarray) -> int:
    return (int(perceptual_hash(a), 16) ^ int(perceptual_hash(b), 16)).bit_count()


def hexadecimal(*numbers: int) -> list[str]:
    return [f"{number:064x}" for number in numbers]


@pytest.mark.parametrize("copy", ["smaller", "jpeg", "brighter"])
def test_copies_are_near(copy):
    made = {
        "smaller": lambda: cv2.resize(FACE, (120, 120), interpolation=cv2.INTER_AREA),
        "jpeg": lambda: cv2.imdecode(cv2.imencode(".jpg", FACE, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], 1),
        "brighter": lambda: (FACE * 0.8 + 30).astype(np.uint8),
    }
    assert distance(FACE, made[copy]()) <= 24


def test_another_picture_is_far():
    assert distance(FACE, np.ascontiguousarray(data.chelsea()[:180, 100:280])) > 90
    assert distance(FACE, FACE[:, ::-1]) > 60


def test_groups_are_chains_named_by_their_smallest_id():
    hashes = hexadecimal(0, 0b11, 0b1111, 2**64 - 1)
    assert near_copy_groups(["d", "c", "b", "a"], [hashes], 2) == ["b", "b", "b", "a"]
    assert near_copy_groups(["d", "c", "b", "a"], [hashes], 1) == ["d", "c", "b", "a"]
    assert near_copy_groups([], [[]], 2) == []


def test_near_by_one_of_several_hashes_is_near():
    faces, photos = hexadecimal(0, 1, 2**99 - 1), hexadecimal(2**99 - 1, 0, 0)
    assert near_copy_groups(["a", "b", "c"], [faces, photos], 1) == ["a", "a", "a"]


@given(st.integers(1, 40), st.integers(0, 60), st.integers(1, 9))
def test_groups_are_those_of_all_pairs_whatever_the_block(n, limit, block):
    rng = np.random.default_rng(n)
    numbers = [int.from_bytes(rng.bytes(8)) for _ in range(n)]
    ids = [f"{i:03}" for i in rng.permutation(n)]
    near = np.array([[(a ^ b).bit_count() <= limit for b in numbers] for a in numbers])
    reach = np.linalg.matrix_power(near.astype(float), n) > 0
    expected = [min(np.array(ids)[row]) for row in reach]
    before, duplicates.BLOCK = duplicates.BLOCK, block
    try:
        assert near_copy_groups(ids, [hexadecimal(*numbers)], limit) == expected
    finally:
        duplicates.BLOCK = before


def test_equal_pixels_under_two_labels_are_set_aside():
    rows = [("a", "p", "happy"), ("b", "p", "sad"), ("c", "q", "fear"), ("d", "q", "fear")]
    found = conflicting_labels(pd.DataFrame(rows, columns=["image_id", "pixels", "label"]))
    assert found["image_id"].tolist() == ["a", "b"] and set(found["reason"]) == {"conflicting_labels"}
    assert found["detail"].iloc[0] == "the same face under happy, sad"
