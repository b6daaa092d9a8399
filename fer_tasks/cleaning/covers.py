"""Detect eyes or mouths that are covered by hands, sunglasses, food …

No data set of covered faces is needed: every face is also described with a cover drawn on its eyes and on its
mouth, and a logistic regression learns to distinguish covered from open. The probability for a face comes
from a model that was not trained on it. A few truly covered faces among the open ones do little harm.
"""

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np
from skimage.feature import hog
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

SIDE = 96  # px of the aligned face
EYES, MOUTH = ((33.6, 36.5), (62.4, 36.5)), (48.0, 69.1)  # (x, y) px in the aligned face
N_FEATURES = 576  # of a region: HOG of 2 x 5 blocks of 2 x 2 cells with 9 orientations; 12 x 6 Lab colours
FOLDS = 5
MAX_TRAINING = 4000  # faces to train a model on, at most


class Region(NamedTuple):
    """A part of the aligned face, and the patch of skin that its colours are compared with."""

    rows: slice
    columns: slice
    skin: tuple[slice, slice]


REGIONS = {
    "eyes": Region(slice(22, 50), slice(14, 82), (slice(50, 60), slice(30, 66))),
    "mouth": Region(slice(54, 86), slice(22, 74), (slice(40, 54), slice(25, 71))),
}


def align(face: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Move eyes and mouth of a face to EYES and MOUTH: (96, 96, 3) uint8.

    `face`: (M, N, 3) uint8. `landmarks`: (5, 2) float, (x, y) px in it: eyes, nose, corners of the mouth.
    """
    points = np.float32([landmarks[0], landmarks[1], (landmarks[3] + landmarks[4]) / 2])
    transform = cv2.estimateAffinePartial2D(points, np.float32([*EYES, MOUTH]))[0]
    return cv2.warpAffine(face, transform, (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT)


def describe_regions(aligned: np.ndarray) -> np.ndarray:
    """HOG of eyes and mouth, and their colours relative to nearby skin: (2, N_FEATURES) float16."""
    lab = cv2.cvtColor(aligned, cv2.COLOR_RGB2LAB).astype(np.float32)
    grey = cv2.cvtColor(aligned, cv2.COLOR_RGB2GRAY)
    return np.stack([_describe_region(grey, lab, region) for region in REGIONS.values()]).astype(np.float16)


def _describe_region(grey: np.ndarray, lab: np.ndarray, region: Region) -> np.ndarray:
    part = cv2.resize(grey[region.rows, region.columns], (48, 24), interpolation=cv2.INTER_AREA)
    shape = hog(part, 9, (8, 8), (2, 2))
    skin = np.median(lab[region.skin].reshape(-1, 3), axis=0)
    colours = cv2.resize(lab[region.rows, region.columns], (12, 6), interpolation=cv2.INTER_AREA)
    return np.concatenate([shape, ((colours - skin) / 20).ravel()])


def even(rng: np.random.Generator, aligned: np.ndarray) -> np.ndarray:
    """A cover of one colour, lit from one side: (96, 96, 3) uint8, like those below."""
    colour, light = rng.integers(0, 256, 3), np.linspace(-1, 1, SIDE) * rng.uniform(0, 40)
    return (colour + light[None, :, None] + np.zeros((SIDE, 1, 1))).clip(0, 255).astype(np.uint8)


def skin(rng: np.random.Generator, aligned: np.ndarray) -> np.ndarray:
    """A cover like the face's own skin, with lines between fingers."""
    near = aligned[REGIONS["mouth"].skin].reshape(-1, 3)
    colour = np.median(near, axis=0) * rng.uniform(0.8, 1.15)
    light = rng.choice([-1, 1]) * np.linspace(-25, 25, SIDE)[:, None, None]
    cover = (colour + light + rng.normal(0, 3, (SIDE, SIDE, 1))).clip(0, 255).astype(np.uint8)
    for x in range(0, SIDE, int(rng.integers(9, 14))):
        end = (x + int(rng.integers(-12, 12)), SIDE)
        cv2.line(cover, (x, 0), end, tuple(map(int, colour * 0.72)), 1, cv2.LINE_AA)
    return cv2.GaussianBlur(cover, (0, 0), 0.8)


def stuff(rng: np.random.Generator, aligned: np.ndarray) -> np.ndarray:
    """A cover cut from another part of the picture, turned and enlarged."""
    shift = tuple(map(int, rng.integers(SIDE // 4, 3 * SIDE // 4, 2)))
    turned = np.rot90(np.roll(aligned, shift, (0, 1)), int(rng.integers(1, 4)))
    zoom = int(rng.integers(SIDE // 3, SIDE))
    return cv2.resize(np.ascontiguousarray(turned[:zoom, :zoom]), (SIDE, SIDE))


Cover = Callable[[np.random.Generator, np.ndarray], np.ndarray]
COVERS: tuple[Cover, ...] = (even, skin, stuff)


def plant(aligned: np.ndarray, region: str, cover: Cover, rng: np.random.Generator) -> np.ndarray:
    """Draw a cover on one or both eyes ("eyes") or on the mouth ("mouth") of an aligned face."""
    mask = cv2.GaussianBlur(_shape(region, rng), (0, 0), 0.8)[..., None] / 255
    return (aligned * (1 - mask) + cover(rng, aligned) * mask).astype(np.uint8)


def _shape(region: str, rng: np.random.Generator) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    both = rng.random() < 0.6
    wide = region == "mouth" or both
    x, y = MOUTH if region == "mouth" else (48, EYES[0][1]) if both else EYES[rng.integers(2)]
    centre = (int(x + rng.integers(-4, 5)), int(y + rng.integers(-3, 4)))
    axes = (int(rng.integers(24, 44) if wide else rng.integers(12, 20)), int(rng.integers(10, 24)))
    if region == "mouth":
        axes = (int(rng.integers(14, 44)), axes[1])
    angle = float(rng.uniform(-30, 30))
    if rng.random() < 0.5:
        cv2.ellipse(mask, centre, axes, angle, 0, 360, 255, -1)
    else:
        corners = cv2.boxPoints((centre, (2 * axes[0], 2 * axes[1]), angle))
        cv2.fillPoly(mask, [corners.astype(np.int32)], 255)
    return mask


def describe_with_covers(aligned: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """`describe_regions` of a face, unchanged and with covers drawn by `rng`: (2, 2, N_FEATURES) float16."""
    unchanged = describe_regions(aligned)
    covers = [COVERS[k] for k in rng.integers(len(COVERS), size=2)]
    covered = [
        describe_regions(plant(aligned, region, cover, rng))[k]
        for k, (region, cover) in enumerate(zip(REGIONS, covers, strict=True))
    ]
    return np.stack([unchanged, np.stack(covered)])


def cover_probability(described: np.ndarray) -> np.ndarray:
    """The probability that a face's eyes or mouth are covered, the larger of the two: (n,) float, 0..1.

    `described`: (n, 2, 2, N_FEATURES) of `describe_with_covers`. The result is NaN for faces whose rows are
    NaN, those without landmarks, and for all faces if fewer than 20 others are left to train on.
    """
    usable = np.isfinite(described).all(axis=(1, 2, 3))
    result = np.full(len(described), np.nan)
    if usable.sum() >= 20:
        faces = described[usable].astype(np.float32)
        result[usable] = np.max([_out_of_fold(faces[:, 0, k], faces[:, 1, k]) for k in range(2)], axis=0)
    return result


def _out_of_fold(open_: np.ndarray, planted: np.ndarray) -> np.ndarray:
    probability = np.empty(len(open_))
    for train, test in KFold(FOLDS, shuffle=True, random_state=0).split(open_):
        model = fit_cover_model(open_[train[:MAX_TRAINING]], planted[train[:MAX_TRAINING]])
        probability[test] = model(open_[test])
    return probability


def fit_cover_model(open_: np.ndarray, planted: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Fit a model of one region to descriptions, (n, N_FEATURES), of open and of covered faces.

    Returns a function from descriptions (m, N_FEATURES) to probabilities of being covered, (m,) float.
    """
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.003, max_iter=500))
    model.fit(np.concatenate([open_, planted]), np.repeat([0, 1], [len(open_), len(planted)]))
    return lambda described: model.predict_proba(described)[:, 1]
