"""Covers that the network of covers learns from are where they are said to be."""

import numpy as np
import pytest
from skimage import data

from fer_tasks.cleaning import planting
from fer_tasks.cleaning.covers import align
from fer_tasks.cleaning.planting.canvas import LARGER, MOUTH, SIDE, polygon

LANDMARKS = np.array([[203.5, 100.1], [245.4, 102.2], [224.2, 126.4], [201.8, 138.6], [244.4, 140.4]])
FACE = align(data.astronaut(), LANDMARKS, SIDE)
PHOTOS = [data.brick(), data.gravel()]
DRAWS = [*planting.EYE_COVERS, *planting.MOUTH_COVERS, *planting.HARMLESS]


@pytest.mark.parametrize("draw", range(len(DRAWS)))
@pytest.mark.parametrize("seed", range(5))
def test_whatever_is_drawn_is_a_layer_and_the_same_again(draw, seed):
    layers = [DRAWS[draw](FACE.astype(np.float32), PHOTOS, np.random.default_rng(seed)) for _ in range(2)]
    for layer in layers:
        assert layer.opacity.shape == (SIDE, SIDE) and 0 <= layer.opacity.min() <= layer.opacity.max() < 1.001
        assert np.broadcast_to(layer.grey, FACE.shape).shape == FACE.shape and np.isfinite(layer.grey).all()
    assert (layers[0].opacity == layers[1].opacity).all() and (layers[0].grey == layers[1].grey).all()


def test_how_much_is_covered_is_of_the_eye_that_is_covered_more_and_of_the_mouth():
    nothing, left = np.zeros((SIDE, SIDE), np.float32), np.zeros((SIDE, SIDE), np.float32)
    left[:, : SIDE // 2] = 1
    low = polygon(np.array([(0, MOUTH[1]), (SIDE, MOUTH[1]), (SIDE, SIDE), (0, SIDE)]))
    assert planting.covered_shares(nothing).tolist() == [0, 0]
    assert planting.covered_shares(left) == pytest.approx([1, 0.5], abs=0.05)
    assert planting.covered_shares(low) == pytest.approx([0, 0.5], abs=0.1)


def test_there_are_open_and_covered_faces_of_both_kinds_and_what_covers_is_seen():
    rng = np.random.default_rng(0)
    made = [planting.plant(FACE, PHOTOS, rng) for _ in range(300)]
    shares = np.array([share for _, share in made])
    assert all(picture.shape == FACE.shape and picture.dtype == np.uint8 for picture, _ in made)
    assert 0.15 < (shares[:, 0] > 0.6).mean() < 0.5 and 0.15 < (shares[:, 1] > 0.6).mean() < 0.5
    assert (shares < 0.25).all(axis=1).mean() > 0.25
    changed = [np.abs(picture.astype(int) - FACE).max() for picture, share in made if share.max() > 0.6]
    assert min(changed) > 20
    assert LARGER * 48 == SIDE


def test_the_same_seed_plants_the_same():
    first, again = (planting.plant(FACE, PHOTOS, np.random.default_rng(3))[0] for _ in range(2))
    assert (first == again).all()
