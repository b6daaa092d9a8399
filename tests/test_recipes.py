"""Recipes: numbers of each step, and mistakes told before any picture is read."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage import data
from skimage.feature import hog

from fer_tasks.recipes import TRANSFORMS, BadRecipe, make_transform, transform_all

FACE = data.astronaut()[:150, 140:290]


def run(*steps: dict) -> np.ndarray:
    return make_transform(steps)(FACE)


def test_gray_resize_rescale():
    image = run({"op": "gray"}, {"op": "resize", "size": 48}, {"op": "rescale"})
    assert image.shape == (48, 48, 1) and image.dtype == np.float32 and 0 <= image.min() <= image.max() <= 1
    direct = cv2.resize(cv2.cvtColor(FACE, cv2.COLOR_RGB2GRAY), (48, 48), interpolation=cv2.INTER_AREA)
    assert np.array_equal(image[:, :, 0], direct.astype(np.float32) / 255)


def test_the_centre_is_what_a_smaller_margin_leaves():
    assert np.array_equal(run({"op": "centre", "share": 0.8}), FACE[15:135, 15:135])
    assert np.array_equal(run({"op": "centre", "share": 1}), FACE)
    assert run({"op": "centre", "share": 0.001}).shape == (1, 1, 3)
    for share in (0, -0.5, 1.1, float("nan"), "half"):
        with pytest.raises(BadRecipe):
            run({"op": "centre", "share": share})


def test_an_image_that_is_not_rescaled_stays_small():
    assert run({"op": "resize", "size": 64}).dtype == np.uint8


@pytest.mark.parametrize(("clip", "tile"), [(2.0, 8), (5, 4)])
def test_clahe_is_opencv_s(clip, tile):
    grey = cv2.cvtColor(FACE, cv2.COLOR_RGB2GRAY)
    expected = cv2.createCLAHE(clip, (tile, tile)).apply(grey)
    found = run({"op": "gray"}, {"op": "clahe", "clip": clip, "tile": tile})
    assert np.array_equal(found[:, :, 0], expected)


def test_clahe_of_a_colour_image_keeps_its_colours():
    lab = [
        cv2.cvtColor(i, cv2.COLOR_RGB2LAB).astype(int)
        for i in (FACE, run({"op": "clahe", "clip": 2, "tile": 8}))
    ]
    assert (
        np.abs(lab[0][:, :, 1:] - lab[1][:, :, 1:]).mean()
        < 2
        < np.abs(lab[0][:, :, 0] - lab[1][:, :, 0]).mean()
    )


def test_hog_is_scikit_image_s():
    found = run({"op": "gray"}, {"op": "resize", "size": 48}, {"op": "hog"})
    small = run({"op": "gray"}, {"op": "resize", "size": 48})[:, :, 0]
    assert found.shape == (5 * 5 * 2 * 2 * 9,) and found.dtype == np.float32
    assert np.allclose(found, hog(small, 9, (8, 8), (2, 2)), atol=1e-6)


@pytest.mark.parametrize("method", ["ror", "var", "uniform"])
def test_lbp_lies_between_zero_and_one(method):
    found = run({"op": "lbp", "method": method})
    assert found.shape == (150, 150, 1) and found.dtype == np.float32
    assert np.isfinite(found).all() and found.min() >= 0 and found.max() <= 1


def test_lbp_by_hand():
    spot = np.zeros((5, 5, 3), np.uint8)
    spot[2, 2] = 255
    lbp = make_transform([{"op": "lbp", "method": "uniform"}])(spot)
    assert lbp[2, 2, 0] == 0, "nothing around is as bright: no bit is set"
    assert lbp[0, 4, 0] == pytest.approx(8 / 9), "nothing around is darker: all eight are set"


@given(st.integers(1, 200), st.booleans())
def test_any_size_and_colour(size, colour):
    steps = [{"op": "resize", "size": size}] if colour else [{"op": "gray"}, {"op": "resize", "size": size}]
    assert run(*steps).shape == (size, size, 3 if colour else 1)


def test_a_stack_keeps_order_and_dtype():
    black, white = np.zeros((20, 20, 3), np.uint8), np.full((20, 20, 3), 255, np.uint8)
    stack = transform_all([black, white], [{"op": "gray"}])
    assert stack.shape == (2, 20, 20, 1) and stack.dtype == np.uint8
    assert stack.mean(axis=(1, 2, 3)).tolist() == [0, 255]


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ({"op": "grey"}, "no step 'grey'; choose one of"),
        ({}, "no step None"),
        ({"op": "resize"}, "missing a required argument: 'size'"),
        ({"op": "resize", "side": 4}, r"its options: \['size'\]"),
        ({"op": "resize", "size": 0}, "from 1 to 4096 px"),
        ({"op": "resize", "size": 2**70}, "from 1 to 4096 px"),
        ({"op": ["gray"]}, "no step"),
        ({"op": {"gray": 1}}, "no step"),
        ({"op": "clahe", "clip": 10**400, "tile": 8}, "do not fit together"),
        ({"op": "lbp", "points": 10**5}, "points must be from 1 to 64"),
        ({"op": "hog", "orientations": 10**9}, "orientations must be at most 360"),
        ({"op": "clahe", "clip": -1, "tile": 8}, "clip must be above 0"),
        ({"op": "lbp", "method": "median"}, "choose one of"),
        ({"op": "hog", "pixels_per_cell": 100}, "does not fit"),
    ],
)
def test_mistakes_in_a_step(step, said):
    with pytest.raises(BadRecipe, match=said):
        make_transform([step])


def test_steps_that_do_not_fit_together():
    with pytest.raises(BadRecipe, match="do not fit together"):
        make_transform([{"op": "hog"}, {"op": "resize", "size": 3}])


def test_every_step_is_tested_here():
    assert set(TRANSFORMS) == {"centre", "clahe", "gray", "hog", "lbp", "rescale", "resize"}
