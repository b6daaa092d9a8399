"""Where the faces of photos are: MTCNN with the `mtcnn` package's weights and answers, many photos at a
time."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Literal, NamedTuple

import cv2
import numpy as np
from scipy.special import expit, logit

from fer_tasks.faces.boxes import crops, of_smaller, of_union, placed, proposals, refined, square, suppress
from fer_tasks.faces.networks import OUTPUT_BATCH, PAGE, REFINE_BATCH, Network, Networks, compile_networks
from fer_tasks.faces.pyramid import draw_page, pack, pieces

LANDMARKS = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")  # left and right of the picture
Mode = Literal["exact", "fast"]
# The smallest face that is looked for: px, and share of the photo's shorter side.
SMALLEST: dict[Mode, tuple[float, float]] = {"exact": (20, 0), "fast": (40, 0.16)}
TOGETHER = 4_000_000  # pixels of the photos that share pages and batches: what a worker holds at a time
# The package's thresholds of score and of overlap.
PROPOSE, REFINE, OUTPUT = 0.6, 0.7, 0.8
SAME_LEVEL, SAME_PHOTO = 0.5, 0.7


class Faces(NamedTuple):
    """The n faces of one photo, in its own pixels."""

    boxes: np.ndarray  # (n, 4) float64: row, column, height, width
    landmarks: np.ndarray  # (n, 5, 2) float64: row, column of LANDMARKS
    scores: np.ndarray  # (n,) float64, 0..1, the best first


class PreparedPhoto(NamedTuple):
    """A photo on its way through the networks."""

    pixels: np.ndarray  # (M, N, 3) float32, -1..1
    shrink: float  # of its sides, to bound its cost


def detect_faces(images: Iterable[np.ndarray], max_side: int, mode: Mode = "exact") -> Iterator[Faces]:
    """Find the faces of each image, in order; `images`: (M, N, 3) uint8 RGB of any sizes, taken as needed.

    An image whose longer side passes `max_side` px is shrunk to it first: it bounds the cost of a photo.
    `exact` gives the answers of the `mtcnn` package, unrounded. `fast` leaves out the finest levels of its
    pyramid, those for faces below 40 px and below 16 % of the photo's shorter side; others are found alike.
    Raises ValueError for an image of another shape or dtype.
    """
    batch: list[PreparedPhoto] = []
    for image in images:
        batch.append(_prepare(image, max_side))
        if sum(photo.pixels.size for photo in batch) >= 3 * TOGETHER:
            yield from _detect(batch, mode)
            batch = []
    if batch:
        yield from _detect(batch, mode)


def detect_files(
    read: Callable[[Path, int], np.ndarray], sizes: Mapping[Path, tuple[int, int]], max_side: int, mode: Mode
) -> list[Faces]:
    """`detect_faces` of files, in the pixels of photos of these `sizes` (height, width).

    `read(path, enough)` gives a photo, or a smaller one whose longer side still has `enough` px.
    """
    shapes = []

    def images() -> Iterator[np.ndarray]:
        for path in sizes:
            image = read(path, max_side)
            shapes.append(image.shape[:2])
            yield image

    found = list(detect_faces(images(), max_side, mode))
    scales = np.array(list(sizes.values())) / shapes
    return [
        Faces(faces.boxes * np.tile(scale, 2), faces.landmarks * scale, faces.scores)
        for faces, scale in zip(found, scales, strict=True)
    ]


def _prepare(image: np.ndarray, max_side: int) -> PreparedPhoto:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"an RGB image is (M, N, 3) uint8, not {image.shape} {image.dtype}")
    shrink = min(1.0, max_side / max(image.shape[:2]))
    if shrink < 1:
        size = [max(1, round(side * shrink)) for side in image.shape[1::-1]]
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    pixels = image.astype(np.float32)
    pixels -= np.float32(127.5)
    pixels /= np.float32(128)
    return PreparedPhoto(pixels, shrink)


def _detect(photos: list[PreparedPhoto], mode: Mode) -> Iterator[Faces]:
    boxes = _propose(photos, mode)
    boxes = _refine(photos, boxes)
    for photo, (outline, points, scores) in zip(photos, _output(photos, boxes), strict=True):
        yield _faces(photo, outline, points, scores)


def _propose(photos: list[PreparedPhoto], mode: Mode) -> list[np.ndarray]:
    px, share = SMALLEST[mode]
    levels = (pieces(i, p.pixels, max(px, share * min(p.pixels.shape[:2]))) for i, p in enumerate(photos))
    found = [np.empty((0, 7))]
    pixels, mask = np.zeros((1, PAGE, PAGE, 3), np.float32), np.zeros((1, 1, PAGE - 2, PAGE - 2), np.float32)
    for page in pack(chain.from_iterable(levels)):
        height = draw_page(page, pixels[0], mask[0, 0])
        said = _networks().propose[height](pixels[:, :height], mask[:, :, : height - 2])
        found.append(proposals(page, said[0], PROPOSE))
    cells = np.concatenate(found)
    cells = cells[np.lexsort((cells[:, 1], cells[:, 0]))]
    starts = np.flatnonzero((np.diff(cells[:, :2], axis=0, prepend=-1) != 0).any(axis=1))
    kept = [
        level[suppress(level[:, 2:6], level[:, 6], SAME_LEVEL, of_union)] for level in np.split(cells, starts)
    ]
    cells = np.concatenate(kept)
    of_photo = [cells[cells[:, 0] == i] for i in range(len(photos))]
    return [_sift(own[:, 2:6], own[:, 6]) for own in of_photo]


def _sift(boxes: np.ndarray, scores: np.ndarray) -> np.ndarray:
    return square(boxes[suppress(boxes, scores, SAME_PHOTO, of_union)])


def _refine(photos: list[PreparedPhoto], boxes: list[np.ndarray]) -> list[np.ndarray]:
    looked = zip(boxes, _look(photos, boxes, 24, REFINE_BATCH, _networks().refine), strict=True)
    sure = [(refined(own, said[:, :4]), said[:, 4], said[:, 4] > logit(REFINE)) for own, said in looked]
    return [_sift(moved[good], scores[good]) for moved, scores, good in sure]


def _output(
    photos: list[PreparedPhoto], boxes: list[np.ndarray]
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    looked = _look(photos, boxes, 48, OUTPUT_BATCH, _networks().output)
    for own, said in zip(boxes, looked, strict=True):
        good = said[:, 14] > logit(OUTPUT)
        own, said = own[good], said[good]
        outline, points, scores = refined(own, said[:, :4]), placed(own, said[:, 4:14]), said[:, 14]
        kept = suppress(outline, scores, SAME_PHOTO, of_smaller)
        yield outline[kept], points[kept], expit(scores[kept])


def _look(
    photos: list[PreparedPhoto], boxes: list[np.ndarray], size: int, batch: int, network: Network
) -> list[np.ndarray]:
    """What a network says of the crops of each photo's boxes."""
    said = np.concatenate([network(block).copy() for block in _batches(photos, boxes, size, batch)])
    ends = np.cumsum([len(own) for own in boxes])
    return np.split(said[: ends[-1]], ends[:-1])


def _batches(
    photos: list[PreparedPhoto], boxes: list[np.ndarray], size: int, batch: int
) -> Iterator[np.ndarray]:
    """The crops of all photos' boxes in batches of one size, the last filled up with nothing."""
    waiting = np.empty((0, size, size, 3), np.float32)
    for photo, own in zip(photos, boxes, strict=True):
        for start in range(0, len(own), batch):
            waiting = np.concatenate([waiting, crops(photo.pixels, own[start : start + batch], size)])
            if len(waiting) >= batch:
                yield waiting[:batch]
                waiting = waiting[batch:]
    yield np.concatenate([waiting, np.zeros((batch - len(waiting), size, size, 3), np.float32)])


def _faces(photo: PreparedPhoto, outline: np.ndarray, points: np.ndarray, scores: np.ndarray) -> Faces:
    height, width = photo.pixels.shape[:2]
    left, top, right, bottom = outline.clip(0, [width - 1, height - 1, width - 1, height - 1]).T
    found = np.stack([top, left, bottom - top, right - left], axis=1) / photo.shrink
    landmarks = np.stack([points[:, 5:], points[:, :5]], axis=2) / photo.shrink
    return Faces(found, landmarks, scores.astype(float))


@cache
def _networks() -> Networks:
    cv2.setNumThreads(1)  # one process a core does more than threads
    return compile_networks()
