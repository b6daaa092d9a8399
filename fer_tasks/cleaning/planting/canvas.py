"""What covers are drawn on and with: the aligned face, LARGER times as large as the network sees it.

Sizes are in distances between the eyes, UNIT px.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.random import Generator

from fer_tasks.cleaning import covers

LARGER = 2
SIDE = LARGER * covers.SIDE
EYES, MOUTH = LARGER * np.array(covers.EYES), LARGER * np.array(covers.MOUTH)
MIDDLE, UNIT = EYES.mean(axis=0), float(np.ptp(EYES[:, 0]))
ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE].astype(np.float32)


class Layer(NamedTuple):
    """What lies on a face."""

    grey: np.ndarray  # (SIDE, SIDE) float32, 0..255
    opacity: np.ndarray  # (SIDE, SIDE) float32, 0..1


# face (SIDE, SIDE) float32, 0..255; photos (M, N) to cut things out of
Draw = Callable[[np.ndarray, Sequence[np.ndarray], Generator], Layer]


def ellipse(centre: np.ndarray, half_width: float, half_height: float) -> np.ndarray:
    """The opacity of an ellipse: (SIDE, SIDE) float32, 0 or 1."""
    inside = ((COLUMNS - centre[0]) / half_width) ** 2 + ((ROWS - centre[1]) / half_height) ** 2 <= 1
    return inside.astype(np.float32)


def polygon(points: np.ndarray) -> np.ndarray:
    """The opacity of a polygon of (n, 2) points, (x, y) px: (SIDE, SIDE) float32, 0..1."""
    mask = np.zeros((SIDE, SIDE), np.uint8)
    cv2.fillPoly(mask, [np.round(points * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    return mask.astype(np.float32) / 255


def lines(paths: Sequence[np.ndarray], width: float) -> np.ndarray:
    """The opacity of lines through (n, 2) points each, `width` px wide: (SIDE, SIDE) float32, 0..1."""
    mask = np.zeros((SIDE, SIDE), np.uint8)
    points = [np.round(np.asarray(path) * 16).astype(np.int32) for path in paths]
    cv2.polylines(mask, points, False, 255, max(1, round(width)), cv2.LINE_AA, 4)
    return mask.astype(np.float32) / 255


def soft(values: np.ndarray, sigma: float) -> np.ndarray:
    """Blurred by a Gaussian of `sigma` px."""
    return cv2.GaussianBlur(np.float32(values), (0, 0), sigma) if sigma > 0.2 else np.float32(values)


def turned(points: np.ndarray, degrees: float) -> np.ndarray:
    """(n, 2) points, turned about (0, 0), clockwise in a picture."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return points @ np.array([[cos, sin], [-sin, cos]])


def shade(rng: Generator, strength: float) -> np.ndarray:
    """Light from one side, to add: (SIDE, SIDE) float32, about -strength..strength."""
    angle = rng.uniform(0, 2 * np.pi)
    return (np.cos(angle) * (COLUMNS / SIDE - 0.5) + np.sin(angle) * (ROWS / SIDE - 0.5)) * 1.4 * strength


def texture(photos: Sequence[np.ndarray], rng: Generator) -> np.ndarray:
    """A piece of a photo, turned, resized and of other contrast: (SIDE, SIDE) float32, 0..255."""
    photo = photos[rng.integers(len(photos))]
    side = int(rng.uniform(0.2, 0.9) * min(photo.shape))
    top, left = (int(rng.integers(0, length - side + 1)) for length in photo.shape)
    piece = np.rot90(photo[top : top + side, left : left + side], int(rng.integers(4)))
    piece = cv2.resize(np.ascontiguousarray(piece, np.float32), (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    return ((piece - piece.mean()) * rng.uniform(0.3, 1.3) + rng.uniform(20, 235)).clip(0, 255)
