"""Where the faces of a photo are: MTCNN (Zhang et al. 2016, "Joint Face Detection and Alignment using
Multitask Cascaded Convolutional Networks"), by the `mtcnn` package and its weights."""

import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np

LANDMARKS = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")  # left and right of the picture
_SMALLEST = 24  # px; below it MTCNN's pyramid has no level to look at
_OF_THREAD = threading.local()


class Faces(NamedTuple):
    """The n faces of one photo, in its own pixels."""

    boxes: np.ndarray  # (n, 4) float64: row, column, height, width
    landmarks: np.ndarray  # (n, 5, 2) float64: row, column of LANDMARKS
    scores: np.ndarray  # (n,) float64, 0..1


def detect_faces(images: Sequence[np.ndarray], max_side: int) -> list[Faces]:
    """Find the faces of each image; `images`: (M, N, 3) uint8 RGB of any sizes.

    An image whose longer side passes `max_side` px is shrunk to it first: it bounds the cost of a photo.
    Raises ValueError for an image of another shape or dtype.
    """
    return [_detect(image, max_side) for image in images]


def _detect(image: np.ndarray, max_side: int) -> Faces:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"an RGB image is (M, N, 3) uint8, not {image.shape} {image.dtype}")
    shrink = min(1.0, max_side / max(image.shape[:2]))
    if shrink < 1:
        size = [max(1, round(side * shrink)) for side in image.shape[1::-1]]
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    found = _detector().detect_faces(image) if min(image.shape[:2]) >= _SMALLEST else []
    boxes = np.array([face["box"] for face in found], float).reshape(-1, 4)[:, [1, 0, 3, 2]]
    points = [[face["keypoints"][name][::-1] for name in LANDMARKS] for face in found]
    scores = np.array([face["confidence"] for face in found], float)
    return Faces(boxes / shrink, np.array(points, float).reshape(-1, 5, 2) / shrink, scores)


def _detector() -> Any:
    if not hasattr(_OF_THREAD, "mtcnn"):
        from mtcnn import MTCNN  # TensorFlow takes seconds to import: only those who detect pay

        _OF_THREAD.mtcnn = MTCNN()
    return _OF_THREAD.mtcnn
