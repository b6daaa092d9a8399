"""Covered eyes and mouths are told from open ones, without a data set of covered faces."""

import cv2
import numpy as np
import pytest
from skimage import data

from fer_tasks.cleaning.covers import (
    COVERS,
    EYES,
    MOUTH,
    N_FEATURES,
    REGIONS,
    SIDE,
    align,
    cover_probability,
    describe_regions,
    describe_with_covers,
    plant,
)

LANDMARKS = np.array([[211.0, 113], [246, 112], [231, 136], [214, 148], [244, 147]])  # of the astronaut
FACE = align(data.astronaut(), LANDMARKS)


def look(rng: np.random.Generator) -> np.ndarray:
    """The face with other light, size and place."""
    turn = cv2.getRotationMatrix2D((48, 48), rng.uniform(-6, 6), rng.uniform(0.94, 1.06))
    turn[:, 2] += rng.uniform(-2, 2, 2)
    lit = FACE * rng.uniform(0.6, 1.2) + rng.uniform(-20, 20) + rng.normal(0, 4, FACE.shape)
    return cv2.warpAffine(
        lit.clip(0, 255).astype(np.uint8), turn, (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT
    )


def test_the_aligned_face_has_eyes_and_mouth_in_their_places():
    dots = np.zeros((512, 512, 3), np.uint8)
    for x, y in (LANDMARKS[0], LANDMARKS[1], (LANDMARKS[3] + LANDMARKS[4]) / 2):
        cv2.circle(dots, (int(x), int(y)), 2, (255, 255, 255), -1)
    aligned = align(dots, LANDMARKS)[..., 0]
    for x, y in (*EYES, MOUTH):
        assert aligned[round(y) - 3 : round(y) + 4, round(x) - 3 : round(x) + 4].max() > 100


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("cover", COVERS)
def test_a_cover_changes_its_region_and_little_else(region, cover):
    planted = plant(FACE, region, cover, np.random.default_rng(1))
    changed = (planted != FACE).any(axis=2)
    part = REGIONS[region]
    assert planted.shape == FACE.shape and planted.dtype == np.uint8
    assert changed[part.rows, part.columns].mean() > 0.1
    assert changed[:8].mean() < 0.05, "the hair stays"


def test_a_description_is_as_long_as_it_says_and_the_same_again():
    assert describe_regions(FACE).shape == (2, N_FEATURES) and describe_regions(FACE).dtype == np.float16
    two = [describe_with_covers(FACE, np.random.default_rng(7)) for _ in range(2)]
    assert two[0].shape == (2, 2, N_FEATURES) and (two[0] == two[1]).all()


@pytest.mark.parametrize("region", REGIONS)
def test_the_few_covered_among_many_are_told(region):
    rng = np.random.default_rng(0)
    faces = [look(rng) for _ in range(120)]
    for k in range(6):
        faces[k] = plant(faces[k], region, COVERS[k % len(COVERS)], rng)
    said = cover_probability(np.stack([describe_with_covers(face, rng) for face in faces]))
    assert said.min() >= 0 and said.max() <= 1
    assert np.median(said[:6]) > np.quantile(said[6:], 0.98)


def test_without_landmarks_or_with_too_few_faces_nothing_is_known():
    described = np.stack([describe_with_covers(FACE, np.random.default_rng(k)) for k in range(25)])
    described[3] = np.nan
    said = cover_probability(described)
    assert np.isnan(said[3]) and np.isfinite(np.delete(said, 3)).all()
    assert np.isnan(cover_probability(described[:10])).all()
