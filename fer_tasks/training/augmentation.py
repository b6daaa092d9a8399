"""Named sets of random augmentations, drawn again in each epoch."""

from typing import NamedTuple

import cv2
import numpy as np


class Augmentation(NamedTuple):
    """The strengths of a set; 0 is off."""

    flip: float = 0.0  # probability, 0..1
    rotation: float = 0.0  # degrees, either way
    shift: float = 0.0  # share of the side, either way
    scale: tuple[float, float] = (1.0, 1.0)  # the least and the largest size, in times the picture's
    brightness: float = 0.0  # share of the value range, either way
    contrast: float = 0.0  # 0.3: to 0.7 .. 1.3 times the differences from the mean
    blur: float = 0.0  # the largest standard deviation, as a share of the side
    erasing: float = 0.0  # probability, 0..1
    mixup: float = 0.0  # alpha of the Beta distribution


UNCHANGED = Augmentation()
LIGHT = Augmentation(flip=0.5, rotation=10, shift=0.1, scale=(0.9, 1.1), brightness=0.15)
STRONG = LIGHT._replace(rotation=15, erasing=0.5, mixup=0.2)
SETS: dict[str, Augmentation] = {
    "none": UNCHANGED,
    "light": LIGHT,
    "strong": STRONG,
    "wide": STRONG._replace(scale=(0.6, 1.15), brightness=0.25, contrast=0.4, blur=0.03),
}
ERASED = (0.02, 0.2)  # share of the area; the paper's 0.4 hides half a face
ASPECT = (0.3, 1 / 0.3)
SHARP = 0.3  # px; a smaller standard deviation blurs nothing


def augment(
    x: np.ndarray, y: np.ndarray, chosen: Augmentation, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """An augmented copy of a batch: pictures (n, M, N, C), labels (n, classes) float32 that sum to 1.

    Values keep dtype and range: uint8 0..255, float32 0..1. Flip, rotation, scale and shift are one affine
    transform, linear, with a mirrored border. Random erasing: Zhong et al. (2017), with random values. Mixup:
    Zhang et al. (2018), one mixing share per batch.
    """
    pictures = [_change(picture, chosen, rng) for picture in x]
    return mixup(np.stack(pictures), y, chosen.mixup, rng)


def _change(picture: np.ndarray, chosen: Augmentation, rng: np.random.Generator) -> np.ndarray:
    height, width = picture.shape[:2]
    matrix = _affine(height, width, chosen, rng)
    shape, top = picture.shape, 255 if picture.dtype == np.uint8 else 1.0
    moved = cv2.warpAffine(picture, matrix, (width, height), borderMode=cv2.BORDER_REFLECT_101)
    brighter = rng.uniform(-chosen.brightness, chosen.brightness) * top
    if chosen.contrast:
        times = rng.uniform(1 - chosen.contrast, 1 + chosen.contrast)
        brighter += (1 - times) * float(moved.mean())
        moved = cv2.addWeighted(moved, times, moved, 0, brighter)  # saturates uint8
    elif brighter:
        moved = cv2.add(moved, (brighter,) * 4)
    if top != 255:
        moved = np.clip(moved, 0, 1, out=moved)
    if chosen.blur and (sigma := rng.uniform(0, chosen.blur) * max(height, width)) > SHARP:
        moved = cv2.GaussianBlur(moved, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
    moved = moved.reshape(shape)
    if rng.random() < chosen.erasing:
        _erase(moved, top, rng)
    return moved


def _affine(height: int, width: int, chosen: Augmentation, rng: np.random.Generator) -> np.ndarray:
    """A (2, 3) matrix of a picture's pixels: about its centre, then flipped, then shifted."""
    angle = rng.uniform(-chosen.rotation, chosen.rotation)
    scale = rng.uniform(*chosen.scale)
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, scale)
    if rng.random() < chosen.flip:
        matrix[0] = (0, 0, width - 1) - matrix[0]
    matrix[:, 2] += rng.uniform(-chosen.shift, chosen.shift, 2) * (width, height)
    return matrix


def _erase(picture: np.ndarray, top: float, rng: np.random.Generator) -> None:
    height, width, channels = picture.shape
    area, aspect = rng.uniform(*ERASED) * height * width, np.exp(rng.uniform(*np.log(ASPECT)))
    h = min(height, max(1, round((area * aspect) ** 0.5)))
    w = min(width, max(1, round((area / aspect) ** 0.5)))
    row, col = rng.integers(0, height - h + 1), rng.integers(0, width - w + 1)
    values = rng.random((h, w, channels), np.float32) * top
    picture[row : row + h, col : col + w] = values.astype(picture.dtype)


def mixup(
    x: np.ndarray, y: np.ndarray, alpha: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Mix a batch and its labels with itself in another order; `alpha` 0 leaves it unchanged."""
    if not alpha:
        return x, y
    share, other = rng.beta(alpha, alpha), rng.permutation(len(x))
    flat = x.reshape(len(x), -1)
    mixed = cv2.addWeighted(flat, share, flat[other], 1 - share, 0).reshape(x.shape)
    return mixed, (share * y + (1 - share) * y[other]).astype(y.dtype)
