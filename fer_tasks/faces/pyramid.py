"""Build image pyramids, and pack the levels of many pictures on pages of one fixed shape."""

import math
import threading
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import cv2
import numpy as np

from fer_tasks.faces.networks import PAGE, PAGES

CELL = 12  # px; the receptive field of one P-Net score
STRIDE = 2  # px between the receptive fields of neighbouring scores
CELLS = (PAGE - CELL) // STRIDE + 1  # scores along a page
STEP = 0.709  # scale from one level to the next, as in the package
SMALLEST = 20  # px; the smallest face that the package looks for
NEVER = -1e9  # added to activations that pooling must not take
KEPT = 4_000_000  # floats that a thread keeps memory for
_OF_THREAD = threading.local()


class Piece(NamedTuple):
    """A level of a picture's pyramid, or a tile of a level that is larger than a page."""

    picture: int
    level: int
    scale: float  # of the level relative to the picture
    corner: tuple[int, int]  # row, column of the piece in its level; even
    pixels: np.ndarray  # (M, N, 3) float32, M and N at most PAGE


Page = list[tuple[Piece, int, int]]  # pieces side by side, each with its row and column on the page; even


def pieces(picture: int, image: np.ndarray, smallest: float) -> Iterator[Piece]:
    """Yield the pyramid's levels of an (M, N, 3) float32 image for faces of at least `smallest` px, cut into
    tiles that fit on a page."""
    height, width = image.shape[:2]
    found = scales(min(height, width), smallest)
    sizes = [(int(width * scale), int(height * scale)) for scale in found]
    sums = _sums(image)  # all levels at once: those of the next image take its place
    levels = [cv2.resize(_rows(image, sums, size[1]), size, interpolation=cv2.INTER_AREA) for size in sizes]
    for number, (scale, level) in enumerate(zip(found, levels, strict=True)):
        for row in range(0, max(level.shape[0] - CELL + STRIDE, STRIDE), CELLS * STRIDE):
            for column in range(0, max(level.shape[1] - CELL + STRIDE, STRIDE), CELLS * STRIDE):
                tile = level[row : row + PAGE, column : column + PAGE]
                yield Piece(picture, number, float(scale), (row, column), tile)


def scales(side: int, smallest: float) -> np.ndarray:
    """The scales of the package's levels for a picture with a shorter side of `side` px, without those for
    faces below `smallest` px: (n,) float64."""
    levels = round(-np.log(side / CELL) / np.log(STEP) - 1)
    scales = CELL / SMALLEST * STEP ** np.arange(max(levels, 0))
    return scales[scales <= CELL / max(smallest, SMALLEST)]


def _sums(image: np.ndarray) -> np.ndarray:
    """Running sums, (M + 1, N, 3) float32: row i is the sum of the first i rows. The thread's next call
    overwrites them. This loop takes a sixth of the time of `cumsum`."""
    shape = (len(image) + 1, *image.shape[1:])
    sums = _buffer(math.prod(shape)).reshape(shape)
    sums[0], sums[1:] = 0, image
    for before, row in zip(sums, sums[1:], strict=False):
        row += before
    return sums


def _buffer(length: int) -> np.ndarray:
    """(length,) float32 of the thread's own: new memory for every image would take a tenth of the time."""
    if length > KEPT:
        return np.empty(length, np.float32)
    if len(getattr(_OF_THREAD, "buffer", ())) < length:
        _OF_THREAD.buffer = np.empty(length, np.float32)
    return _OF_THREAD.buffer[:length]


def _rows(image: np.ndarray, sums: np.ndarray, rows: int) -> np.ndarray:
    """Shrink an image to `rows` rows by means of areas, as OpenCV's INTER_AREA does.

    With the running sums of `_sums` a small level takes little time, however large the image.
    """
    ends = np.arange(rows + 1) * (len(image) / rows)
    whole = np.minimum(ends.astype(int), len(image) - 1)
    upto = image[whole]
    upto *= (ends - whole).astype(np.float32)[:, None, None]
    upto += sums[whole]
    between = upto[1:] - upto[:-1]
    between *= np.float32(rows / len(image))
    return between


def pack(unpacked: Iterable[Piece]) -> list[Page]:
    """Pack pieces on pages, by first-fit on shelves of decreasing height."""
    pages: list[Page] = []
    bottoms: list[int] = []  # of each page's shelves
    shelves: list[list[int]] = []  # page, top, height, first free column
    for piece in sorted(unpacked, key=lambda piece: piece.pixels.shape[0], reverse=True):
        height, width = (side + side % STRIDE for side in piece.pixels.shape[:2])
        shelf = next((s for s in shelves if s[2] >= height and s[3] + width <= PAGE), None)
        if shelf is None:
            page = next((i for i, bottom in enumerate(bottoms) if bottom + height <= PAGE), len(pages))
            if page == len(pages):
                pages.append([])
                bottoms.append(0)
            shelf = [page, bottoms[page], height, 0]
            bottoms[page] += height
            shelves.append(shelf)
        pages[shelf[0]].append((piece, shelf[1], shelf[3]))
        shelf[3] += width
    return pages


def draw_page(page: Page) -> tuple[np.ndarray, np.ndarray]:
    """Draw a page of the smallest of PAGES that holds it: pixels (1, M, N, 3) and mask (1, 1, M - 2, N - 2),
    both float32. The mask is NEVER where pieces of odd size end, and 0 elsewhere."""
    sides = [np.array(piece.pixels.shape[:2]) for piece, *_ in page]
    ends = [corner + side + side % STRIDE for (_, *corner), side in zip(page, sides, strict=True)]
    height, width = next(shape for shape in PAGES if (np.max(ends, axis=0) <= shape).all())
    pixels = np.zeros((1, height, width, 3), np.float32)
    mask = np.zeros((1, 1, height - 2, width - 2), np.float32)
    for piece, top, left in page:
        height, width = piece.pixels.shape[:2]
        pixels[0, top : top + height, left : left + width] = piece.pixels
        if height % STRIDE:
            mask[0, 0, top + height - 2, left : left + width] = NEVER
        if width % STRIDE:
            mask[0, 0, top : top + height, left + width - 2] = NEVER
    return pixels, mask
