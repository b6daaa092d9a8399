"""Describe a face in numbers, once, for the doubts that compare all faces."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from fer_tasks.cleaning import covers
from fer_tasks.cleaning.hog import hog_of

ReadImage = Callable[[Path], np.ndarray]


class CroppedFace(NamedTuple):
    """The file of a cropped face to describe."""

    path: Path
    landmarks: np.ndarray | None  # (5, 2) float, (x, y) px of the crop: eyes, nose, corners of the mouth
    seed: int  # of the covers to plant on it


class Description(NamedTuple):
    """The numbers of one face."""

    hog: np.ndarray  # (1764,) float16, `hog.hog_of`
    mirrored_hog: np.ndarray  # the same of the mirrored face
    covers: np.ndarray  # (2, 2, d) float16, `covers.describe_with_covers`; NaN without landmarks


def describe_files(read: ReadImage, faces: Sequence[CroppedFace]) -> list[Description]:
    """Describe faces; `read(path)` decodes one to (M, M, 3) uint8."""
    cv2.setNumThreads(1)  # one process a core
    return [_describe(read(face.path), face) for face in faces]


def _describe(image: np.ndarray, face: CroppedFace) -> Description:
    mirrored = np.ascontiguousarray(image[:, ::-1])
    return Description(hog_of(image), hog_of(mirrored), _covers(image, face))


def _covers(image: np.ndarray, face: CroppedFace) -> np.ndarray:
    if face.landmarks is None:
        return np.full((2, 2, covers.NUMBERS), np.nan, np.float16)
    aligned = covers.align(image, face.landmarks)
    return covers.describe_with_covers(aligned, np.random.default_rng(face.seed))
