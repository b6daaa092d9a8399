"""Find faces with MTCNN, with the weights and results of the `mtcnn` package, in many photos at a time."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Literal, NamedTuple

import cv2
import numpy as np

from fer_tasks.faces.boxes import (
    crops,
    logit,
    of_smaller,
    of_union,
    placed,
    probability_of,
    proposals,
    refined,
    square,
    suppress,
)
from fer_tasks.faces.networks import OUTPUT_BATCHES, REFINE_BATCHES, Network, Networks, networks
from fer_tasks.faces.pyramid import draw_page, pack, pieces

LANDMARKS = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")  # left and right in the picture
Mode = Literal["exact", "fast"]
# The smallest face to look for: px, and share of the photo's shorter side; the larger one applies.
SMALLEST: dict[Mode, tuple[float, float]] = {"exact": (20, 0), "fast": (40, 0.16)}
AROUND = 1.2  # side of the square to look in, in longer sides of the face's box in the frame before
BATCH_PIXELS = 4_000_000  # pixels of photos to process together; bounds a worker's memory
# The package's thresholds for scores and for overlaps.
PROPOSE, REFINE, OUTPUT = 0.6, 0.7, 0.8
SAME_LEVEL, SAME_PHOTO = 0.5, 0.7
SCALED = (np.arange(256, dtype=np.float32) - np.float32(127.5)) / np.float32(128)  # -1..1
_IDLE: list[Networks] = []  # of threads that have ended
_OF_THREAD = threading.local()


class Faces(NamedTuple):
    """The n faces of one photo, in px of the photo."""

    boxes: np.ndarray  # (n, 4) float64: row, column, height, width
    landmarks: np.ndarray  # (n, 5, 2) float64: row, column of LANDMARKS
    scores: np.ndarray  # (n,) float64, 0..1, best first


class PreparedPhoto(NamedTuple):
    """A photo, prepared for the networks."""

    pixels: np.ndarray  # (M, N, 3) float32, -1..1
    shrink: float  # scale of its sides, at most 1


def detect_faces(images: Iterable[np.ndarray], max_side: int, mode: Mode = "exact") -> Iterator[Faces]:
    """Find the faces in each image; yield them in order.

    `images`: (M, N, 3) uint8 RGB of any sizes, read as needed. An image whose longer side exceeds `max_side`
    px is first shrunk to that, which bounds the time per photo. `mode`: `exact` gives the results of the
    `mtcnn` package, unrounded; `fast` skips the finest levels of its pyramid, those for faces below 40 px or
    below 16 % of the photo's shorter side.

    Raises:
        ValueError: an image has another shape or dtype.
    """
    batch: list[PreparedPhoto] = []
    for image in images:
        batch.append(_prepare(image, max_side))
        if sum(photo.pixels.size for photo in batch) >= 3 * BATCH_PIXELS:
            yield from _detect(batch, mode)
            batch = []
    if batch:
        yield from _detect(batch, mode)


def detect_files(
    read: Callable[[Path, int], np.ndarray], sizes: Mapping[Path, tuple[int, int]], max_side: int, mode: Mode
) -> list[Faces]:
    """`detect_faces` for files, with faces in px of the full-size photos.

    `read(path, enough)` returns a photo, or a smaller copy whose longer side has at least `enough` px.
    `sizes`: height and width of each full-size photo.
    """
    shapes = []

    def images() -> Iterator[np.ndarray]:
        for path in sizes:
            image = read(path, max_side)
            shapes.append(image.shape[:2])
            yield image

    detected = list(detect_faces(images(), max_side, mode))
    scales = np.array(list(sizes.values())) / shapes
    return [
        Faces(faces.boxes * np.tile(scale, 2), faces.landmarks * scale, faces.scores)
        for faces, scale in zip(detected, scales, strict=True)
    ]


def follow_faces(image: np.ndarray, boxes: np.ndarray, max_side: int) -> Faces:
    """Look for faces only about where they lay in the frame before: without P-Net, in a quarter of the time.

    R-Net and O-Net say whether the faces are still there, and where. `image`: (M, N, 3) uint8 RGB. `boxes`:
    (n, 4), n > 0, as in `Faces`. `max_side` as in `detect_faces`.
    """
    photo = _prepare(image, max_side)
    top, left, height, width = boxes.T * photo.shrink
    row, column, half = top + height / 2, left + width / 2, AROUND * np.maximum(height, width) / 2
    around = np.stack([column - half, row - half, column + half, row + half], axis=1)
    return _faces(photo, *next(_output([photo], _refine([photo], [around]))))


def _prepare(image: np.ndarray, max_side: int) -> PreparedPhoto:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"an RGB image is (M, N, 3) uint8, not {image.shape} {image.dtype}")
    shrink = min(1.0, max_side / max(image.shape[:2]))
    if shrink < 1:
        size = [max(1, round(side * shrink)) for side in image.shape[1::-1]]
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return PreparedPhoto(cv2.LUT(image, SCALED), shrink)


def _detect(photos: list[PreparedPhoto], mode: Mode) -> Iterator[Faces]:
    boxes = _propose(photos, mode)
    boxes = _refine(photos, boxes)
    for photo, (outline, points, scores) in zip(photos, _output(photos, boxes), strict=True):
        yield _faces(photo, outline, points, scores)


def _propose(photos: list[PreparedPhoto], mode: Mode) -> list[np.ndarray]:
    """P-Net: for each photo the square boxes, (n, 4), that may hold a face."""
    cells = _suppress_within_levels(_proposed_cells(photos, mode))
    by_photo = [cells[cells[:, 0] == i] for i in range(len(photos))]
    return [_suppress_and_square(of_photo[:, 2:6], of_photo[:, 6]) for of_photo in by_photo]


def _proposed_cells(photos: list[PreparedPhoto], mode: Mode) -> np.ndarray:
    """All rows of `boxes.proposals` for all levels of the photos: (k, 7)."""
    px, share = SMALLEST[mode]
    levels = (pieces(i, p.pixels, max(px, share * min(p.pixels.shape[:2]))) for i, p in enumerate(photos))
    cells = [np.empty((0, 7))]
    for page in pack(chain.from_iterable(levels)):
        cells.append(proposals(page, _networks().propose(*draw_page(page))[0], PROPOSE))
    return np.concatenate(cells)


def _suppress_within_levels(cells: np.ndarray) -> np.ndarray:
    """Drop cells that overlap a better one of the same photo and level; sorted by photo and level."""
    cells = cells[np.lexsort((cells[:, 1], cells[:, 0]))]
    starts = np.flatnonzero((np.diff(cells[:, :2], axis=0, prepend=-1) != 0).any(axis=1))
    levels = np.split(cells, starts)
    kept = [suppress(level[:, 2:6], level[:, 6], SAME_LEVEL, of_union) for level in levels]
    return np.concatenate([level[rows] for level, rows in zip(levels, kept, strict=True)])


def _suppress_and_square(boxes: np.ndarray, scores: np.ndarray) -> np.ndarray:
    return square(boxes[suppress(boxes, scores, SAME_PHOTO, of_union)])


def _refine(photos: list[PreparedPhoto], boxes: list[np.ndarray]) -> list[np.ndarray]:
    """R-Net: for each photo the boxes that it accepts, moved and made square."""
    kept = []
    outputs = _run_on_crops(photos, boxes, 24, REFINE_BATCHES, _networks().refine)
    for own, output in zip(boxes, outputs, strict=True):
        good = output[:, 4] > logit(REFINE)
        kept.append(_suppress_and_square(refined(own, output[:, :4])[good], output[good, 4]))
    return kept


def _output(
    photos: list[PreparedPhoto], boxes: list[np.ndarray]
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """O-Net: the faces of each photo as boxes (n, 4), landmarks (n, 10) and scores (n,)."""
    outputs = _run_on_crops(photos, boxes, 48, OUTPUT_BATCHES, _networks().output)
    for own, output in zip(boxes, outputs, strict=True):
        good = output[:, 14] > logit(OUTPUT)
        own, output = own[good], output[good]
        outline, points, scores = refined(own, output[:, :4]), placed(own, output[:, 4:14]), output[:, 14]
        kept = suppress(outline, scores, SAME_PHOTO, of_smaller)
        yield outline[kept], points[kept], probability_of(scores[kept])


def _run_on_crops(
    photos: list[PreparedPhoto], boxes: list[np.ndarray], size: int, lengths: Sequence[int], network: Network
) -> list[np.ndarray]:
    """A network's output for the crops of each photo's boxes."""
    outputs = np.concatenate([network(block).copy() for block in _batches(photos, boxes, size, lengths)])
    ends = np.cumsum([len(own) for own in boxes])
    return np.split(outputs[: ends[-1]], ends[:-1])


def _batches(
    photos: list[PreparedPhoto], boxes: list[np.ndarray], size: int, lengths: Sequence[int]
) -> Iterator[np.ndarray]:
    """Yield the crops of all photos' boxes in batches of the greatest of `lengths`; the last one is padded
    with zeros to the least that holds it."""
    batch = lengths[-1]
    waiting = np.empty((0, size, size, 3), np.float32)
    for photo, own in zip(photos, boxes, strict=True):
        for start in range(0, len(own), batch):
            waiting = np.concatenate([waiting, crops(photo.pixels, own[start : start + batch], size)])
            if len(waiting) >= batch:
                yield waiting[:batch]
                waiting = waiting[batch:]
    least = next(length for length in lengths if length >= len(waiting))
    yield np.concatenate([waiting, np.zeros((least - len(waiting), size, size, 3), np.float32)])


def _faces(photo: PreparedPhoto, outline: np.ndarray, points: np.ndarray, scores: np.ndarray) -> Faces:
    height, width = photo.pixels.shape[:2]
    left, top, right, bottom = outline.clip(0, [width - 1, height - 1, width - 1, height - 1]).T
    boxes = np.stack([top, left, bottom - top, right - left], axis=1) / photo.shrink
    landmarks = np.stack([points[:, 5:], points[:, :5]], axis=2) / photo.shrink
    return Faces(boxes, landmarks, scores.astype(float))


class _Lease:
    """A thread's networks. When it has ended another thread takes them over: to compile them takes 0.1 s."""

    def __init__(self) -> None:
        self._idle = _IDLE  # which this module no longer has when Python ends
        try:
            self.networks = self._idle.pop()
        except IndexError:
            self.networks = networks()

    def __del__(self) -> None:
        self._idle.append(self.networks)


def _networks() -> Networks:
    if not hasattr(_OF_THREAD, "lease"):
        cv2.setNumThreads(1)  # a photo a core is faster than a photo on all cores
        _OF_THREAD.lease = _Lease()
    return _OF_THREAD.lease.networks
