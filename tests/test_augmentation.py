"""What random changes keep: dtype, range, the sum of the labels; and what they do."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fer_tasks.training.augmentation import SETS, Augmentation, augment, mixup

KEPT = Augmentation()


def batch(dtype: str, shape: tuple[int, ...] = (6, 24, 20, 3), seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).random(shape, np.float32)
    return (values * 255).astype(np.uint8) if dtype == "uint8" else values


def labels(n: int) -> np.ndarray:
    return np.eye(7, dtype=np.float32)[np.arange(n) % 7]


def changed(x: np.ndarray, chosen: Augmentation, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    return augment(x, labels(len(x)), chosen, np.random.default_rng(seed))


pictures = st.sampled_from(["uint8", "float32"]).flatmap(
    lambda dtype: st.tuples(
        st.integers(1, 4), st.integers(4, 24), st.integers(4, 24), st.sampled_from([1, 3])
    ).flatmap(
        lambda shape: arrays(
            dtype, shape, elements=st.integers(0, 255) if dtype == "uint8" else st.floats(0, 1, width=32)
        )
    )
)


@pytest.mark.parametrize("name", SETS)
@given(x=pictures, seed=st.integers(0, 2**32))
@settings(deadline=None, max_examples=40)
def test_dtype_shape_range_and_sum_of_labels_are_kept(name, x, seed):
    before = x.copy()
    again, y = changed(x, SETS[name], seed)
    assert (again.dtype, again.shape) == (x.dtype, x.shape)
    assert again.min() >= 0 and again.max() <= (255 if x.dtype == np.uint8 else 1)
    assert y.dtype == np.float32 and y.sum(axis=1) == pytest.approx(1, abs=1e-6)
    assert np.array_equal(x, before), "the pictures that came in are as they were"


@pytest.mark.parametrize("name", SETS)
def test_the_same_draw_gives_the_same_pictures_and_another_gives_others(name):
    one, two, other = (changed(batch("uint8"), SETS[name], seed)[0] for seed in (3, 3, 4))
    assert np.array_equal(one, two)
    assert np.array_equal(one, other) == (name == "none")


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("channels", [1, 3])
def test_no_set_changes_nothing(dtype, channels):
    x = batch(dtype, (4, 15, 16, channels))
    again, y = changed(x, SETS["none"])
    assert np.array_equal(again, x) and np.array_equal(y, labels(4))


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_a_flip_is_the_mirrored_picture(dtype):
    x = batch(dtype)
    assert np.array_equal(changed(x, KEPT._replace(flip=1))[0], x[:, :, ::-1])
    half = [changed(x, KEPT._replace(flip=0.5), seed)[0] for seed in range(20)]
    flipped = sum(
        np.array_equal(one, two) for got in half for one, two in zip(got, x[:, :, ::-1], strict=True)
    )
    assert 40 <= flipped <= 80, "of 120"


def test_a_shift_mirrors_the_border():
    ramp = np.tile(np.arange(20, dtype=np.uint8), (20, 1))[None, :, :, None] * 10
    moved = changed(ramp, KEPT._replace(shift=0.3))[0][0, 10, :, 0].astype(int)
    steps = np.diff(moved)
    assert set(np.abs(steps[np.abs(steps) > 5])) <= {9, 10, 11} and moved.std() > 20
    assert {np.sign(moved[1] - moved[0]), np.sign(moved[-1] - moved[-2])} == {-1, 1}


def test_rotation_and_zoom_leave_the_centre_and_stay_within_what_was_said():
    dot = np.zeros((1, 41, 41, 1), np.float32)
    cv2.circle(dot[0, :, :, 0], (32, 20), 2, 1.0, -1)
    for seed in range(40):
        moved = changed(dot, KEPT._replace(rotation=10, scale=(0.9, 1.1)), seed)[0][0, :, :, 0]
        rows, cols = np.indices(moved.shape)
        row, col = (float((moved * at).sum() / moved.sum()) - 20 for at in (rows, cols))
        assert abs(np.degrees(np.arctan2(row, col))) < 10.5
        assert 0.88 < np.hypot(row, col) / 12 < 1.12


@pytest.mark.parametrize(("dtype", "top"), [("uint8", 255), ("float32", 1.0)])
def test_brightness_is_a_share_of_the_range(dtype, top):
    grey = np.full((200, 4, 4, 3), 0.5 * top).astype(dtype)
    moved = changed(grey, KEPT._replace(brightness=0.2))[0].astype(float) / top
    assert moved.std(axis=(1, 2, 3)).max() < 1e-6, "all of a picture alike"
    assert 0.29 < moved.min() < 0.33 and 0.67 < moved.max() < 0.71


@pytest.mark.parametrize(("dtype", "top"), [("uint8", 255), ("float32", 1.0)])
def test_contrast_stretches_about_the_mean(dtype, top):
    halves = np.full((200, 8, 8, 1), 0.4 * top).astype(dtype)
    halves[:, :4] = 0.6 * top
    moved = changed(halves, KEPT._replace(contrast=0.3))[0].astype(float) / top
    spread = moved.max(axis=(1, 2, 3)) - moved.min(axis=(1, 2, 3))
    assert 0.13 < spread.min() < 0.15 and 0.25 < spread.max() < 0.27, "0.7 to 1.3 times 0.2"
    assert moved.mean(axis=(1, 2, 3)) == pytest.approx(0.5, abs=0.01)


def test_blur_softens_edges_by_at_most_what_was_said():
    edge = np.zeros((60, 40, 40, 1), np.float32)
    edge[:, :, 20:] = 1
    steepest = np.diff(changed(edge, KEPT._replace(blur=0.05))[0], axis=2).max(axis=(1, 2, 3))
    assert steepest.max() == 1, "a blur of next to nothing changes nothing"
    assert 0.18 < steepest.min() < 0.3, "a standard deviation of 2 px: 0.2"


def test_a_wide_set_shows_faces_from_six_tenths_of_their_size():
    square = np.zeros((80, 60, 60, 1), np.uint8)
    square[:, 25:35, 25:35] = 255
    seen = changed(square, KEPT._replace(scale=SETS["wide"].scale))[0]
    sides = np.sqrt(seen.sum(axis=(1, 2, 3)) / 255)
    assert 5.8 < sides.min() < 6.6 and 11 < sides.max() < 11.7


def test_erasing_takes_a_rectangle_of_at_most_a_fifth():
    black = np.zeros((60, 30, 30, 1), np.uint8)
    shares = []
    for picture in changed(black, KEPT._replace(erasing=1))[0][..., 0]:
        rows, cols = np.nonzero(picture)
        shares.append((np.ptp(rows) + 1) * (np.ptp(cols) + 1) / 900)
    assert 0.01 < min(shares) < 0.05 and 0.15 < max(shares) < 0.25


def test_mixup_mixes_pictures_as_their_labels():
    x = np.eye(7, dtype=np.float32).reshape(7, 7, 1, 1)
    mixed, y = mixup(x, labels(7), 5.0, np.random.default_rng(0))
    assert mixed.reshape(7, 7) == pytest.approx(y, abs=1e-6) and 0 < y.max(axis=1).min() < 1
