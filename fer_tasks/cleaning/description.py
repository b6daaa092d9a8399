"""Compute a face's features once, for the rules that compare all faces."""

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
    seed: int  # of the covers to draw on it


class Description(NamedTuple):
    """The features of one face, or of n faces with a first axis of n."""

    hog: np.ndarray  # (1764,) float16, `hog.hog_of`
    mirrored_hog: np.ndarray  # (1764,) float16, of the mirrored face
    covers: np.ndarray  # (2, 2, N_FEATURES) float16, `covers.describe_with_covers`; NaN without landmarks


def describe_files(read: ReadImage, faces: Sequence[CroppedFace]) -> list[Description]:
    """Describe faces in files; `read(path)` decodes one to (M, M, 3) uint8."""
    cv2.setNumThreads(1)  # the caller runs a process per core
    return [_describe(read(face.path), face) for face in faces]


def _describe(image: np.ndarray, face: CroppedFace) -> Description:
    mirrored = np.ascontiguousarray(image[:, ::-1])
    return Description(hog_of(image), hog_of(mirrored), _covers(image, face))


def _covers(image: np.ndarray, face: CroppedFace) -> np.ndarray:
    if face.landmarks is None:
        return np.full((2, 2, covers.N_FEATURES), np.nan, np.float16)
    aligned = covers.align(image, face.landmarks)
    return covers.describe_with_covers(aligned, np.random.default_rng(face.seed))
