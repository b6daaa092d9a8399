"""Contact sheets: lay many faces out on one picture, and assign the words read on it to the faces.

OCR.space limits the number of pictures, not of faces.
"""

import difflib
import io
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fer_tasks.text.lines import Line

GUTTER = 16  # px between tiles: with 8 px or less, words of neighbours were read as one
BLOCK = 16  # px; a tile that starts at a JPEG block takes as many bytes on a sheet as alone
GREY = 128
QUALITY = 85
FULL = 0.99  # share of the size limit to fill: a sheet takes up to 0.4 % more bytes than its tiles alone
CAPTION = "MONDAY"
CANARY = (64, 192)  # px, height and width of the caption's tile and of the blank tile
HEADER = 600  # bytes of a JPEG file besides its blocks
CANARY_COST = 12_000  # bytes of the canary's row; the rest of a sheet takes the sum of its tiles' bytes


class Place(NamedTuple):
    """The box of a tile on a sheet, px."""

    row: int
    column: int
    height: int
    width: int


WHOLE = Place(0, 0, 0, 0)  # the place of a face that is sent by itself


class Layout(NamedTuple):
    """The places on a sheet: one for each face, and the canary's two tiles."""

    faces: list[Place]
    caption: Place
    blank: Place


class OcrWord(NamedTuple):
    """A word that was read on a sheet, its box in px of the sheet, and the number of its line."""

    text: str
    row: float
    column: float
    height: float
    width: float
    line: int


def fill(
    faces: Iterable[tuple[str, np.ndarray]], max_bytes: int, max_side: int, most: int
) -> Iterator[dict[str, np.ndarray]]:
    """Cut a stream of named faces, (M, N, 3) uint8, into batches for sheets, in order.

    A batch has as many faces as fit into `max_bytes` of JPEG and `max_side` px per side, and at most `most`.
    """
    batch: dict[str, np.ndarray] = {}
    size, side = HEADER + CANARY_COST, 0
    for name, face in faces:
        cost, side_with_it = _cost(face), max(side, *face.shape[:2])
        room = min(most, _tiles(side_with_it, max_side))
        if batch and (size + cost > FULL * max_bytes or len(batch) >= room):
            yield batch
            batch, size, side_with_it = {}, HEADER + CANARY_COST, max(face.shape[:2])
        batch[name] = face
        size, side = size + cost, side_with_it
    if batch:
        yield batch


def _cost(face: np.ndarray) -> int:
    """The bytes of a face with its gutter, which are the same anywhere on a sheet."""
    height, width = map(_pitch, face.shape[:2])
    blocks = np.full((height, width, 3), GREY, np.uint8)
    _paste(blocks, face, 0, 0)
    return len(encode(blocks)) - HEADER


def _tiles(side: int, max_side: int) -> int:
    """How many tiles of `side` px a square of `max_side` px holds above the canary."""
    return max(0, (max_side - GUTTER - _pitch(CANARY[0])) // _pitch(side)) ** 2


def _pitch(side: int) -> int:
    return -(-side // BLOCK) * BLOCK + GUTTER


def lay_out(faces: Sequence[np.ndarray]) -> tuple[np.ndarray, Layout]:
    """Lay faces out in rows at their own size, with grey between them, and the canary below them.

    The canary shows whether the engine reads the sheet: a known caption across a piece of the first face, and
    a blank tile. `faces`: (M, N, 3) uint8. Returns the sheet, (M, N, 3) uint8, and its layout.
    """
    pitch = _pitch(max(max(face.shape[:2]) for face in faces))
    columns = math.ceil(math.sqrt(len(faces)))
    below = GUTTER + math.ceil(len(faces) / columns) * pitch
    width = GUTTER + max(columns * pitch, 2 * _pitch(CANARY[1]))
    sheet = np.full((below + _pitch(CANARY[0]), width, 3), GREY, np.uint8)
    places = []
    for i, face in enumerate(faces):
        row, column = divmod(i, columns)
        places.append(_paste(sheet, face, GUTTER + row * pitch, GUTTER + column * pitch))
    caption = _paste(sheet, _caption(faces[0]), below, GUTTER)
    blank = _paste(sheet, np.full((*CANARY, 3), 255, np.uint8), below, GUTTER + _pitch(CANARY[1]))
    return sheet, Layout(places, caption, blank)


def _paste(sheet: np.ndarray, tile: np.ndarray, row: int, column: int) -> Place:
    height, width = tile.shape[:2]
    sheet[row : row + height, column : column + width] = tile
    return Place(row, column, height, width)


def _caption(face: np.ndarray) -> np.ndarray:
    """The known caption on a piece of a face, in the style of memes."""
    height, width = CANARY
    middle = cv2.resize(face, (width, width))[(width - height) // 2 :][:height]
    image = Image.fromarray(middle)
    font = ImageFont.load_default(height // 2)
    where = (width / 2, height / 2)
    ImageDraw.Draw(image).text(where, CAPTION, "white", font, "mm", stroke_width=2, stroke_fill="black")
    return np.asarray(image)


def encode(image: np.ndarray) -> bytes:
    """JPEG bytes of an (M, N, 3) uint8 image."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


def canary_was_read(words: Sequence[OcrWord], layout: Layout) -> bool:
    """Whether the known caption was read, and nothing on the blank tile.

    If not, a face without words on this sheet may still have writing on it.
    """
    inside = _shares(words, [layout.caption, layout.blank]) > 0.5
    text = "".join(word.text for word, on_caption in zip(words, inside[:, 0], strict=True) if on_caption)
    similarity = difflib.SequenceMatcher(None, text.upper(), CAPTION).ratio()
    return similarity >= 0.8 and not inside[:, 1].any()


def assign(words: Sequence[OcrWord], layout: Layout) -> tuple[list[list[Line]], set[int]]:
    """Assign each word to the tile that has at least 90 % of the word's area.

    Returns the lines of each face, in px of the face, and the indices of faces to send again: those that a
    word without a tile touches.
    """
    places = [*layout.faces, layout.caption, layout.blank]
    shares = _shares(words, places)
    of_tile: list[list[OcrWord]] = [[] for _ in places]
    doubtful: set[int] = set()
    for word, share in zip(words, shares, strict=True):
        tile = int(share.argmax())
        if share[tile] >= 0.9:
            of_tile[tile].append(word)
        else:
            doubtful |= {int(i) for i in np.flatnonzero(_shares([_widen(word)], places)[0])}
    n = len(layout.faces)
    lines = [lines_of(*tile) for tile in zip(of_tile[:n], layout.faces, strict=True)]
    return lines, {tile for tile in doubtful if tile < n}


def _widen(word: OcrWord) -> OcrWord:
    """Widen a word's box by a gutter on all sides, so that a word between two tiles touches both."""
    row, column, height, width = word[1:5]
    return OcrWord(
        word.text, row - GUTTER, column - GUTTER, height + 2 * GUTTER, width + 2 * GUTTER, word.line
    )


def lines_of(words: Sequence[OcrWord], place: Place = WHOLE) -> list[Line]:
    """Join words into the engine's lines, with boxes in px of the tile at `place`."""
    lines: dict[int, list[OcrWord]] = {}
    for word in words:
        lines.setdefault(word.line, []).append(word)
    return [_join(line, place) for line in lines.values()]


def _join(words: Sequence[OcrWord], place: Place) -> Line:
    top, left = min(w.row for w in words), min(w.column for w in words)
    bottom, right = max(w.row + w.height for w in words), max(w.column + w.width for w in words)
    text = " ".join(word.text for word in words)
    return Line(text, top - place.row, left - place.column, bottom - top, right - left)


def _shares(words: Sequence[OcrWord], places: Sequence[Place]) -> np.ndarray:
    """The share of each of n words' boxes that lies on each of m places: (n, m) float64, 0..1."""
    w = np.array([word[1:5] for word in words], float).reshape(-1, 1, 4)
    p = np.array(places, float).reshape(1, -1, 4)
    begins = np.maximum(w[..., :2], p[..., :2])
    ends = np.minimum(w[..., :2] + w[..., 2:], p[..., :2] + p[..., 2:])
    area = np.clip(ends - begins, 0, None).prod(-1)
    return area / np.maximum(w[..., 2:].prod(-1), 1e-9)
