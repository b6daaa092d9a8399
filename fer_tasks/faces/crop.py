"""Cut a face out of its photo with its eyes level."""

import json
import math
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from fer_tasks.faces.signals import roll


def transform_of(face: Mapping[str, Any], margin: float, size: int) -> np.ndarray:
    """`face_transform` of a face with the columns of `choose.main_face`; level if it has landmarks."""
    box = np.array([face[f"box_{name}"] for name in ("row", "col", "height", "width")])
    degrees = roll(np.array(json.loads(face["landmarks"]))) if face["landmarks"] else 0.0
    return face_transform(box, degrees, margin, size)


def face_transform(box: np.ndarray, degrees: float, margin: float, size: int) -> np.ndarray:
    """The map from photo to crop: the box's centre to the crop's, the eyes' line level.

    `degrees`: the angle of that line, `signals.roll`. `margin`: added to the box's longer side, as a share of
    it. `size`: the crop's side in px. Returns (2, 3) float64 for (x, y, 1) columns, as OpenCV takes it;
    `cv2.invertAffineTransform` undoes it.
    """
    row, column, height, width = box
    scale = size / (max(height, width) * (1 + margin))
    centre = (float(column + width / 2), float(row + height / 2))
    transform = cv2.getRotationMatrix2D(centre, degrees, scale)
    transform[:, 2] += size / 2 - np.array(centre)
    return transform


def in_crop(landmarks: np.ndarray, transform: np.ndarray) -> np.ndarray:
    """Where (5, 2) landmarks [row, column] of a photo lie in its crop: (5, 2) float, (x, y) px."""
    return landmarks[:, ::-1] @ transform[:, :2].T + transform[:, 2]


def enough_for(transform: np.ndarray, height: int, width: int) -> int:
    """px of the longer side of a (height, width) photo that the crop needs, at most its own."""
    return math.ceil(max(height, width) * min(1.0, _scale(transform)))


def cut_face(image: np.ndarray, transform: np.ndarray, shape: tuple[int, int], size: int) -> np.ndarray:
    """The (size, size, 3) uint8 crop of an (M, N, 3) uint8 photo; beyond its border the photo is mirrored.

    `shape`: height and width of the photo that `transform` was made for; the image may be a smaller copy of
    it.
    """
    scale = _scale(transform) * shape[1] / image.shape[1]
    if scale < 1:  # the affine warp interpolates between neighbours only: shrink by areas before it
        shrunk = [max(1, round(side * scale)) for side in image.shape[1::-1]]
        image = cv2.resize(image, shrunk, interpolation=cv2.INTER_AREA)
    transform = transform @ np.diag([shape[1] / image.shape[1], shape[0] / image.shape[0], 1])
    return cv2.warpAffine(
        image, transform, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )


def _scale(transform: np.ndarray) -> float:
    return float(np.hypot(*transform[:, 0]))
