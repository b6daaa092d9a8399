"""Cut a face out of its photo with its eyes level."""

import json
import math
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from fer_tasks.faces.signals import SIDE, roll


def transform_of(face: Mapping[str, Any], margin: float, size: int) -> np.ndarray:
    """`face_transform` for a face with the columns of `choose.main_face`; not rotated without landmarks."""
    box = np.array([face[f"box_{name}"] for name in ("row", "col", "height", "width")])
    degrees = roll(np.array(json.loads(face["landmarks"]))) if face["landmarks"] else 0.0
    return face_transform(box, degrees, margin, size)


def face_transform(box: np.ndarray, degrees: float, margin: float, size: int) -> np.ndarray:
    """The affine map from photo to crop: it moves the box's centre to the crop's and makes the eyes level.

    `box`: row, column, height, width in px. `degrees`: the angle of the line between the eyes,
    `signals.roll`. `margin`: added to the box's longer side, as a share of it. `size`: the crop's side in px.
    Returns (2, 3) float64 for columns (x, y, 1), OpenCV's convention.
    """
    row, column, height, width = box
    scale = size / (max(height, width) * (1 + margin))
    centre = (float(column + width / 2), float(row + height / 2))
    transform = cv2.getRotationMatrix2D(centre, degrees, scale)
    transform[:, 2] += size / 2 - np.array(centre)
    return transform


def side_in_crop(face: Mapping[str, Any], margin: float) -> float:
    """The side in px of a face's crop of what another margin would have cut.

    `face`: `transform`, the crop's, beside the columns of `transform_of`. A picture that was a face already
    has no landmarks and gets no margin.
    """
    scale = _scale(np.array(json.loads(face["transform"])))
    wanted = margin if face["landmarks"] else 0.0
    return scale * max(face["box_height"], face["box_width"]) * (1 + wanted)


def enough_to_cut(face: Mapping[str, Any], margin: float, size: int, height: int, width: int) -> int:
    """The longer side in px of the copy of a (height, width) photo that a crop of `size` px is cut from.

    A smaller crop than that on which light is measured is cut from the same copy: see `signals.SIDE`.
    """
    return enough_for(transform_of(face, margin, max(size, SIDE)), height, width)


def in_crop(landmarks: np.ndarray, transform: np.ndarray) -> np.ndarray:
    """Map landmarks of a photo, (5, 2) [row, column] in px, into its crop: (5, 2) float, (x, y) px."""
    return landmarks[:, ::-1] @ transform[:, :2].T + transform[:, 2]


def enough_for(transform: np.ndarray, height: int, width: int) -> int:
    """The longer side in px, at most its own, to which a (height, width) photo may be shrunk without loss to
    the crop."""
    return math.ceil(max(height, width) * min(1.0, _scale(transform)))


def cut_face(image: np.ndarray, transform: np.ndarray, shape: tuple[int, int], size: int) -> np.ndarray:
    """Cut a face out of a photo: (size, size, 3) uint8; beyond its border the photo is mirrored.

    `image`: (M, N, 3) uint8, the photo or a smaller copy of it. `shape`: height and width of the photo that
    `transform` was made for.
    """
    scale = _scale(transform) * shape[1] / image.shape[1]
    if scale < 1:  # the affine warp only interpolates between neighbouring pixels: shrink by areas first
        shrunk = [max(1, round(side * scale)) for side in image.shape[1::-1]]
        image = cv2.resize(image, shrunk, interpolation=cv2.INTER_AREA)
    transform = transform @ np.diag([shape[1] / image.shape[1], shape[0] / image.shape[0], 1])
    return cv2.warpAffine(
        image, transform, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )


def _scale(transform: np.ndarray) -> float:
    return float(np.hypot(*transform[:, 0]))
