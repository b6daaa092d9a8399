"""Test-time augmentation: which views of a picture there are, and the mean of what is said of them."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_tasks.training.fit import predict
from fer_tasks.training.test_time_augmentation import VIEWS, views

RNG = np.random.default_rng(0)


def pictures(side: int, channels: int, dtype: str) -> np.ndarray:
    x = RNG.random((3, side, side, channels))
    return (x * 255).astype(np.uint8) if dtype == "uint8" else x.astype(np.float32)


@settings(max_examples=20, deadline=None)
@given(st.integers(8, 33), st.sampled_from([1, 3]), st.sampled_from(["uint8", "float32"]))
def test_views_keep_shape_dtype_and_range_and_the_first_is_the_picture(side, channels, dtype):
    x = pictures(side, channels, dtype)
    for name in VIEWS:
        seen = list(views(x, name))
        assert np.array_equal(seen[0], x)
        for view in seen:
            assert view.shape == x.shape and view.dtype == x.dtype
            assert view.min() >= x.min() and view.max() <= x.max()
    assert [len(list(views(x, name))) for name in ("none", "flip", "perturbations")] == [1, 2, 22]


@pytest.mark.parametrize("side", [16, 17])
def test_a_flip_mirrors_and_no_other_view_but_the_picture_is_there_twice(side):
    x = pictures(side, 1, "uint8")
    assert np.array_equal(list(views(x, "flip"))[1], x[:, :, ::-1])
    seen = [view.tobytes() for view in views(x, "perturbations")]
    assert len(set(seen)) == len(seen) and x[:, :, ::-1].tobytes() in seen


def test_the_border_is_mirrored_never_black():
    even = np.full((1, 24, 24, 3), 200, np.uint8)
    assert all(np.array_equal(view, even) for view in views(even, "perturbations"))


def test_a_shift_is_two_of_48_pixels_and_a_rotation_ten_degrees():
    dot = np.zeros((1, 49, 49, 1), np.float32)
    dot[0, 24, 24] = 1
    centres = {
        tuple(int(i) for i in np.argwhere(view[0, :, :, 0] > 0.5)[0])
        for view in views(dot[:, :48, :48], "perturbations")
        if (view > 0.5).any()
    }
    assert {(24, 24), (24, 26), (24, 22), (26, 24), (22, 24)} <= centres
    arm = np.zeros((1, 101, 101, 1), np.float32)
    arm[0, 50, 90:93] = 1
    rows = [
        np.average(np.arange(101), weights=view[0, :, :, 0].sum(axis=1)) - 50
        for view in views(arm, "perturbations")
    ]
    assert rows[1] == pytest.approx(41 * np.sin(np.pi / 18), abs=0.1) and rows[2] == pytest.approx(
        -rows[1], abs=0.1
    )


@pytest.mark.slow
def test_a_prediction_is_the_mean_over_the_views():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(3, "softmax")]
    )
    x = pictures(8, 1, "float32")
    flipped = predict(model, x, test_time_augmentation="flip")
    assert np.array_equal(predict(model, x), model.predict(x, verbose=0))
    assert flipped == pytest.approx((predict(model, x) + predict(model, x[:, :, ::-1])) / 2, abs=1e-6)
    assert flipped == pytest.approx(predict(model, x[:, :, ::-1], test_time_augmentation="flip"), abs=1e-6)
    many = predict(model, x, test_time_augmentation="perturbations")
    assert many.dtype == np.float32 and many.sum(axis=1) == pytest.approx(np.ones(3), abs=1e-6)
