"""Test-time augmentation: fixed views of the pictures, over which predictions are averaged."""

from collections.abc import Iterator

import cv2
import numpy as np

# The perturbations of Yu & Zhang (2015): rotations, skews along either axis, shifts of two of their 48 px.
ANGLE, SKEW, SHIFT = np.pi / 18, 0.1, 2 / 48
_TURNED = [[[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]] for a in (ANGLE, -ANGLE)]
_SKEWED = [[[1, s], [t, 1]] for s, t in ((SKEW, 0), (-SKEW, 0), (0, SKEW), (0, -SKEW))]
_SHIFTED = [(SHIFT, 0), (-SHIFT, 0), (0, SHIFT), (0, -SHIFT)]
_PLAIN, _MIRROR, _UNMOVED = np.eye(2), np.diag([-1.0, 1.0]), (0.0, 0.0)

View = tuple[np.ndarray, tuple[float, float]]  # a (2, 2) matrix about the centre; then a shift, in sides
_MOVED: list[View] = [
    *((np.array(matrix), _UNMOVED) for matrix in _TURNED + _SKEWED),
    *((_PLAIN, shift) for shift in _SHIFTED),
]
VIEWS: dict[str, list[View]] = {  # besides the unchanged picture
    "none": [],
    "flip": [(_MIRROR, _UNMOVED)],
    "perturbations": [
        *_MOVED,
        (_MIRROR, _UNMOVED),
        *((matrix @ _MIRROR, shift) for matrix, shift in _MOVED),
    ],
}


def views(x: np.ndarray, name: str) -> Iterator[np.ndarray]:
    """Yield the pictures (n, M, N, C) unchanged, then each of the views that VIEWS has under `name`.

    Values keep dtype and range. A view is one affine transform with linear interpolation and a mirrored
    border, like the augmentations of training.
    """
    yield x
    for matrix, shift in VIEWS[name]:
        yield np.stack([_see(picture, matrix, shift) for picture in x])


def _see(picture: np.ndarray, matrix: np.ndarray, shift: tuple[float, float]) -> np.ndarray:
    height, width = picture.shape[:2]
    size = np.array([width, height])
    centre = (size - 1) / 2
    moved = np.column_stack([matrix, centre - matrix @ centre + size * shift])
    seen = cv2.warpAffine(picture, moved, (width, height), borderMode=cv2.BORDER_REFLECT_101)
    return seen.reshape(picture.shape)
