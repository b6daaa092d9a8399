"""Recipes: turn a face crop into a model's input. A recipe is a list of steps, run from first to last.

An image keeps its channel axis, (M, N, 1) or (M, N, 3). It is uint8, 0..255, until `rescale` or `lbp` makes
it float32, 0..1. `hog` ends a recipe with a vector.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial, reduce
from typing import Any

import cv2
import numpy as np

from fer_tasks.errors import UserError

Transform = Callable[[np.ndarray], np.ndarray]
LARGEST = 4096  # px of a side; a face crop has at most 1024


class BadRecipe(UserError):
    """A recipe names an unknown step, or gives a step an option it does not have, or a value out of range."""


def rescale(image: np.ndarray) -> np.ndarray:
    """(M, N, C) uint8 -> float32 0..1."""
    return image.astype(np.float32) / 255


def gray(image: np.ndarray) -> np.ndarray:
    """(M, N, 3) uint8 RGB -> (M, N, 1) uint8, ITU-R BT.601 luma; a grey image is returned unchanged."""
    return image if image.shape[2] == 1 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[:, :, None]


def resize(image: np.ndarray, size: int) -> np.ndarray:
    """(M, N, C) -> (size, size, C): the mean of areas when shrinking, linear when enlarging."""
    _require(1 <= size <= LARGEST, f"resize: size must be from 1 to {LARGEST} px")
    interpolation = cv2.INTER_AREA if size < min(image.shape[:2]) else cv2.INTER_LINEAR
    resized = cv2.resize(image, (size, size), interpolation=interpolation)
    return resized.reshape(size, size, image.shape[2])


def centre(image: np.ndarray, share: float) -> np.ndarray:
    """(M, N, C) -> its middle, `share` of each side, above 0 and at most 1: as faces would be cut with a
    smaller `crop_faces.margin`."""
    _require(0 < share <= 1, "centre: share must be above 0 and at most 1")
    rows, columns = (max(1, round(share * side)) for side in image.shape[:2])
    top, left = (image.shape[0] - rows) // 2, (image.shape[1] - columns) // 2
    return image[top : top + rows, left : left + columns]


def clahe(image: np.ndarray, clip: float, tile: int) -> np.ndarray:
    """Contrast-limited adaptive histogram equalisation (Zuiderveld 1994), OpenCV's; uint8 in and out.

    `clip`: the contrast limit, above 0. `tile`: tiles per side, so tile x tile in all. In a colour image only
    the lightness L of L*a*b* is equalised.
    """
    _require(clip > 0 and tile >= 1, "clahe: clip must be above 0 and tile at least 1")
    equalise = cv2.createCLAHE(clip, (tile, tile)).apply
    if image.shape[2] == 1:
        return equalise(image[:, :, 0])[:, :, None]
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    lab[:, :, 0] = equalise(lab[:, :, 0])
    return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)


def hog(
    image: np.ndarray, orientations: int = 9, pixels_per_cell: int = 8, cells_per_block: int = 2
) -> np.ndarray:
    """Histogram of oriented gradients (Dalal & Triggs 2005), scikit-image's with L2-Hys: (D,) float32."""
    from skimage.feature import hog as skimage_hog  # here: it takes time to import

    _require(min(orientations, pixels_per_cell, cells_per_block) >= 1, "hog: its options must be at least 1")
    _require(orientations <= 360, "hog: orientations must be at most 360")
    cell, block = (pixels_per_cell,) * 2, (cells_per_block,) * 2
    _require(
        min(image.shape[:2]) >= pixels_per_cell * cells_per_block,
        f"hog: a block of {pixels_per_cell * cells_per_block} px does not fit into {image.shape[:2]}",
    )
    return skimage_hog(image, orientations, cell, block, channel_axis=2).astype(np.float32)


def lbp(image: np.ndarray, points: int = 8, radius: float = 1, method: str = "uniform") -> np.ndarray:
    """Local binary pattern (Ojala et al. 2002), scikit-image's, of the grey image: (M, N, 1) float32, 0..1.

    `points`: neighbours of a pixel, 1..64, on a circle of `radius` px. `method`: `ror` or `uniform`, whose
    codes are divided by the largest code; or `var`, the variance of the neighbours' grey values divided by
    127.5², its maximum, and 0 where it is undefined.
    """
    from skimage.feature import local_binary_pattern  # here: it takes time to import

    _require(method in LBP_LARGEST, f"lbp: method {method!r}; choose one of {sorted(LBP_LARGEST)}")
    _require(1 <= points <= 64 and radius > 0, "lbp: points must be from 1 to 64 and radius above 0")
    codes = local_binary_pattern(gray(image)[:, :, 0], points, radius, method)
    return (np.nan_to_num(codes) / LBP_LARGEST[method](points)).astype(np.float32)[:, :, None]


LBP_LARGEST: dict[str, Callable[[int], float]] = {
    "ror": lambda points: 2.0**points - 1,
    "uniform": lambda points: points + 1,
    "var": lambda points: 127.5**2,
}
TRANSFORMS: dict[str, Callable[..., np.ndarray]] = {
    "centre": centre,
    "clahe": clahe,
    "gray": gray,
    "hog": hog,
    "lbp": lbp,
    "rescale": rescale,
    "resize": resize,
}


def make_transform(steps: Sequence[Mapping[str, Any]]) -> Transform:
    """Compose the steps of a recipe, such as [{"op": "gray"}, {"op": "resize", "size": 48}].

    The recipe is tried on a grey image, so a mistake is reported before any image is read.

    Raises:
        BadRecipe: a name, an option or a value is wrong, or the steps do not fit together.
    """
    bound = [_bind(step) for step in steps]

    def transform(image: np.ndarray) -> np.ndarray:
        return reduce(lambda x, step: step(x), bound, image)

    try:
        transform(np.full((150, 150, 3), 128, np.uint8))
    except (IndexError, ValueError, TypeError, ArithmeticError, MemoryError, cv2.error) as error:
        raise BadRecipe(f"the steps {[step['op'] for step in steps]} do not fit together: {error}") from None
    return transform


def transform_all(images: Sequence[np.ndarray], steps: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """Run a recipe on n crops of one size, each (M, N, 3) uint8 RGB: (n, ...) of the recipe's dtype.

    Raises:
        BadRecipe: as `make_transform`.
    """
    return np.stack(list(map(make_transform(steps), images)))


def _bind(step: Mapping[str, Any]) -> Transform:
    options = {name: value for name, value in step.items() if name != "op"}
    if not isinstance(step.get("op"), str) or step["op"] not in TRANSFORMS:
        raise BadRecipe(f"no step {step.get('op')!r}; choose one of {sorted(TRANSFORMS)}")
    function = TRANSFORMS[step["op"]]
    try:
        inspect.signature(function).bind(None, **options)
    except TypeError as error:
        names = list(inspect.signature(function).parameters)[1:]
        raise BadRecipe(f"step {step['op']!r}: {error}; its options: {names}") from None
    return partial(function, **options)


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise BadRecipe(message)
