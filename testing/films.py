"""Frames of films made from the sample's portraits: panned, zoomed and turned, and two people who cross."""

from collections.abc import Iterator

import cv2
import numpy as np
from skimage import data

WIDTH, HEIGHT = 640, 480


def portrait() -> np.ndarray:
    """Eileen Collins, (512, 512, 3) uint8 RGB."""
    return data.astronaut()


def panned(n: int, reach: float = 60) -> Iterator[np.ndarray]:
    """n frames of a portrait that sways, comes nearer and turns: (HEIGHT, WIDTH, 3) uint8 RGB."""
    for i in range(n):
        turn = 2 * np.pi * i / 150
        yield _placed(
            portrait(),
            320 + reach * np.sin(turn),
            240 + reach / 3 * np.cos(turn),
            0.9 + 0.15 * np.sin(turn / 2),
            8 * np.sin(turn / 3),
        )


def _placed(picture: np.ndarray, x: float, y: float, scale: float, degrees: float) -> np.ndarray:
    middle = np.array(picture.shape[1::-1]) / 2
    place = cv2.getRotationMatrix2D(middle.tolist(), degrees, scale)
    place[:, 2] += np.array([x, y]) - middle
    return cv2.warpAffine(picture, place, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)
