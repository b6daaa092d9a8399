"""Operations on candidate boxes between MTCNN's networks.

A box is (left, top, right, bottom) in px, the order of the `mtcnn` package.
"""

from collections.abc import Callable

import cv2
import numpy as np

from fer_tasks.faces.pyramid import CELL, STRIDE, Page

PAIRS = 1_000_000  # of boxes to compare at a time; bounds the memory
Overlap = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]  # of common area, and both areas


def logit(probability: float) -> np.float64:
    """log(p / (1 - p)) of a probability in (0, 1)."""
    return np.log(probability / (1 - probability))


def probability_of(logits: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), rounded to float32. (scipy.special takes 0.3 s to import.)"""
    return (1 / (1 + np.exp(-logits.astype(float)))).astype(np.float32)


def proposals(page: Page, output: np.ndarray, threshold: float) -> np.ndarray:
    """The cells of a page whose score is above `threshold`, as boxes in their pictures.

    `output`: (5, m, n) float32, P-Net's output for the page: four offsets and the score's logit.
    `threshold`: 0..1. Returns (k, 7) float64: picture, level, box (4), score (0..1).
    """
    of_piece = np.full(output.shape[1:], -1)
    for i, (piece, top, left) in enumerate(page):
        # A last cell that only half fits counts, as in the package, whose pooling rounds up.
        rows, columns = (-(-(side - CELL) // STRIDE) + 1 for side in piece.pixels.shape[:2])
        row, column = top // STRIDE, left // STRIDE
        of_piece[row : row + rows, column : column + columns] = i
    row, column = np.nonzero((output[4] > logit(threshold)) & (of_piece >= 0))
    places = [(p.picture, p.level, p.scale, p.corner[1] - left, p.corner[0] - top) for p, top, left in page]
    picture, level, scale, right, down = np.array(places)[of_piece[row, column]].T
    # The package's cells begin at 1 and are 11 px wide.
    corner = np.stack([STRIDE * column + right, STRIDE * row + down]) + 1.0
    reach = np.concatenate([corner, corner + CELL - 1])
    boxes = (reach + output[:4, row, column] * (CELL - 1)) / scale
    return np.stack([picture, level, *boxes, probability_of(output[4, row, column])], axis=1)


def suppress(boxes: np.ndarray, scores: np.ndarray, threshold: float, overlap: Overlap) -> np.ndarray:
    """Non-maximum suppression: the indices of the boxes to keep, by falling score.

    A box is dropped if one with a higher score overlaps it by more than `threshold`. As in the package, this
    is not greedy: a dropped box still suppresses others. `boxes`: (n, 4). `scores`: (n,).
    """
    order = np.argsort(scores)[::-1]
    sides = boxes[order].astype(np.float32).T
    rows = max(1, PAIRS // max(len(order), 1))
    kept = [
        ~_is_suppressed(sides[:, at : at + rows], sides[:, : at + rows], threshold, overlap)
        for at in range(0, len(order), rows)
    ]
    return order[np.concatenate([*kept, np.zeros(0, bool)])]


def _is_suppressed(some: np.ndarray, better: np.ndarray, threshold: float, overlap: Overlap) -> np.ndarray:
    """Whether each of k boxes overlaps one of the n that come before it: (k,) bool.

    `some`: (4, k), the sides of boxes. `better`: (4, n), those of better boxes, and last these k themselves.
    """
    left, top, right, bottom = some
    others_left, others_top, others_right, others_bottom = better[:, :, None]
    wide = np.minimum(others_right, right) - np.maximum(others_left, left)
    high = np.minimum(others_bottom, bottom) - np.maximum(others_top, top)
    common = np.maximum(wide, 0) * np.maximum(high, 0)
    others = (others_right - others_left) * (others_bottom - others_top)
    n, k = better.shape[1], some.shape[1]
    before = np.arange(n)[:, None] < np.arange(n - k, n)
    return ((overlap(common, others, (right - left) * (bottom - top)) > threshold) & before).any(axis=0)


def of_union(common: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Intersection over union, from areas."""
    return common / (one + other - common)


def of_smaller(common: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Intersection over the smaller one, from areas."""
    return common / np.minimum(one, other)


def square(boxes: np.ndarray) -> np.ndarray:
    """Squares around the centres of (n, 4) boxes, with the boxes' longer sides: (n, 4)."""
    size = boxes[:, 2:] - boxes[:, :2]
    longest = size.max(axis=1, keepdims=True)
    corner = boxes[:, :2] + size / 2 - longest / 2
    return np.concatenate([corner, corner + longest], axis=1)


def refined(boxes: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Move the sides of (n, 4) boxes by offsets, (n, 4), given as shares of the boxes' sides: (n, 4)."""
    return boxes + offsets * np.tile(boxes[:, 2:] - boxes[:, :2] + 1, 2)


def placed(boxes: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Convert points from shares of their boxes' sides to px of the picture: (n, 10).

    `boxes`: (n, 4). `points`: (n, 10), five columns, then five rows.
    """
    sides = boxes[:, 2:] - boxes[:, :2] + 1
    return points * sides.repeat(5, axis=1) + boxes[:, :2].repeat(5, axis=1) - 1


def crops(image: np.ndarray, boxes: np.ndarray, size: int) -> np.ndarray:
    """Cut boxes out of an image: (n, size, size, 3) float32, 0 outside of the image.

    `image`: (M, N, 3) float32. `boxes`: (n, 4). Sampled as TensorFlow's `crop_and_resize` does: bilinear,
    with the corners of the crop on those of the box.
    """
    height, width = image.shape[:2]
    steps = np.linspace(0, 1, size)
    columns = (boxes[:, :1] + (boxes[:, 2:3] - boxes[:, :1]) * steps) * ((width - 1) / width)
    rows = (boxes[:, 1:2] + (boxes[:, 3:4] - boxes[:, 1:2]) * steps) * ((height - 1) / height)
    across = np.repeat(columns.astype(np.float32), size, axis=0)
    down = np.repeat(rows.astype(np.float32).ravel(), size).reshape(-1, size)
    sampled = cv2.remap(image, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    sampled = sampled.reshape(len(boxes), size, size, 3)
    sampled[(rows < 0) | (rows > height - 1)] = 0
    sampled.swapaxes(1, 2)[(columns < 0) | (columns > width - 1)] = 0
    return sampled
