"""Draw on a picture where its faces are and what they show."""

from collections.abc import Sequence
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from apps.predict.pictures import Picture
from apps.predict.tables import UNCERTAIN, Row

# Okabe & Ito's colours, which people of any colour vision can tell apart.
COLOURS = {
    "angry": "#d55e00",
    "disgust": "#009e73",
    "fear": "#cc79a7",
    "happy": "#f0e442",
    "neutral": "#bbbbbb",
    "sad": "#0072b2",
    "surprise": "#56b4e9",
}
WHITE_ON = {"angry", "disgust", "sad"}  # text on the other colours is black
READABLE = 480  # px: a picture whose longer side is smaller is enlarged for its labels
LARGEST, NARROWEST = 2048, 240  # px: one whose sides are both larger is shrunk
SMALLEST_TEXT, TINIEST_TEXT = 13, 8  # px; the latter only where there is no room
Box = tuple[float, float, float, float]  # left, top, right, bottom


def annotated(picture: Picture, rows: Sequence[Row]) -> Image.Image:
    """A copy of a picture with its faces' boxes, and labels that are readable at any size.

    Its longer side is from READABLE to LARGEST px, or more where its shorter one would have less than
    NARROWEST.
    """
    height, width = picture.shape
    longer, shorter = max(picture.shape), min(picture.shape)
    scale = max(min(1.0, LARGEST / longer), min(1.0, NARROWEST / shorter), READABLE / longer)
    drawn = Image.fromarray(picture.read(round(longer * min(scale, 1))))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if drawn.size != size:
        drawn = drawn.resize(size)
    draw_faces(drawn, rows, scale)
    return drawn


def draw_faces(drawn: Image.Image, rows: Sequence[Row], scale: float) -> None:
    """Draw the boxes and labels on an RGB picture that is `scale` times as large as that of the rows."""
    draw, faces = ImageDraw.Draw(drawn), [row for row in rows if row.expression is not None]
    boxes = np.array([_box(row, scale) for row in faces]).reshape(-1, 4)
    for row, box in zip(reversed(faces), boxes[::-1], strict=True):  # the largest last, on top
        stroke = round(min(max(drawn.size) / 300, (box[2] - box[0]) / 20))
        draw.rectangle((*box,), outline=COLOURS[row.expression], width=max(stroke, 2))
    labels = np.empty((0, 4))
    for i, row in enumerate(faces):
        others = np.delete(boxes, i, axis=0)
        if place := _label(draw, row, scale, drawn.size, labels, others):
            labels = np.concatenate([labels, [place]])


def _box(row: Row, scale: float) -> Box:
    left, top = row.x * scale, row.y * scale
    return (left, top, left + max(row.width * scale, 1), top + max(row.height * scale, 1))


def _label(
    draw: ImageDraw.ImageDraw,
    row: Row,
    scale: float,
    size: tuple[int, int],
    labels: np.ndarray,
    others: np.ndarray,
) -> Box | None:
    """Draw a face's label and return where it is: in smaller text where it would cover another label or
    face, and nowhere, leaving it to the box's colour, where it would cover a label even so."""
    least = max(SMALLEST_TEXT, max(size) / 55)
    wanted = min(max(row.width * scale / 7, least), 2.5 * least)
    both = np.concatenate([labels, others])
    tries = [(wanted / shrink, both) for shrink in (1, 1.5, 2, 3)] + [(TINIEST_TEXT, labels)]
    for points, taken in tries:
        font = _font(max(TINIEST_TEXT, round(points)))
        while _extent(row, font)[0] > size[0] and font.size > 5:
            font = _font(font.size - 1)
        if place := _place(row, scale, _extent(row, font), size, taken):
            draw.rectangle(place, fill=COLOURS[row.expression])
            ink = "white" if row.expression in WHITE_ON else "black"
            at = (place[0] + _padding(font), (place[1] + place[3]) / 2)
            draw.text(at, title(row), ink, font, anchor="lm")
            return place
    return None


def _extent(row: Row, font: ImageFont.FreeTypeFont) -> tuple[int, int]:
    """The width and height of a label."""
    return round(font.getlength(title(row))) + 2 * _padding(font), round(1.2 * font.size) + _padding(font)


def _padding(font: ImageFont.FreeTypeFont) -> int:
    return max(1, round(font.size / 5))


def _place(
    row: Row, scale: float, label: tuple[int, int], size: tuple[int, int], taken: np.ndarray
) -> Box | None:
    """Above the face, below it, or inside of its upper or lower side: the first that is in the picture and
    covers no other label."""
    left = min(max(row.x * scale, 0), size[0] - label[0])  # below 0 in a picture narrower than the label
    top, bottom = row.y * scale, (row.y + row.height) * scale
    lowest = size[1] - label[1]
    for start in (top - label[1], bottom, min(top, lowest), bottom - label[1]):
        box = (left, start, left + label[0], start + label[1])
        if left >= 0 and 0 <= start <= lowest and not _overlaps(box, taken):
            return box
    return None


def _overlaps(box: Box, others: np.ndarray) -> bool:
    left, top, right, bottom = others.T
    return bool(np.any((box[0] < right) & (left < box[2]) & (box[1] < bottom) & (top < box[3])))


def title(row: Row) -> str:
    """What a face shows and how sure that is: `happy 97 %`, or `sad? 38 %` if it is uncertain. In a video the
    face's track comes first: `0: happy 97 %`."""
    track = "" if row.track is None else f"{row.track}: "
    return f"{track}{row.expression}{'?' if row.status == UNCERTAIN else ''} {100 * row.confidence:.0f} %"


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)
