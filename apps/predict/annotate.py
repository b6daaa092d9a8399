"""Draw on a picture where its faces are and what they show."""

from collections.abc import Sequence
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

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
LARGEST = 2048  # px: one whose longer side is larger is shrunk
SMALLEST_TEXT = 13  # px
Box = tuple[float, float, float, float]  # left, top, right, bottom


def annotated(image: np.ndarray, shape: tuple[int, int], rows: Sequence[Row]) -> Image.Image:
    """A picture with its faces' boxes, and labels that are readable at any size.

    `image`: (M, N, 3) uint8 RGB, the picture or a smaller copy. `shape`: height and width of the picture that
    the rows' boxes are of. The longer side of what is returned is from READABLE to LARGEST px, if it is not
    the picture's own.
    """
    longer = max(shape)
    size = min(max(longer, READABLE), LARGEST)
    drawn = Image.fromarray(image)
    if max(drawn.size) != size:
        drawn = drawn.resize([max(1, round(side * size / longer)) for side in shape[::-1]])
    draw_faces(drawn, rows, drawn.width / shape[1])
    return drawn


def draw_faces(drawn: Image.Image, rows: Sequence[Row], scale: float) -> None:
    """Draw the boxes and labels on an RGB picture that is `scale` times as large as that of the rows."""
    draw, taken = ImageDraw.Draw(drawn), []
    faces = [row for row in rows if row.expression is not None]
    stroke = max(2, round(max(drawn.size) / 300))
    for row in reversed(faces):  # the largest face's box and label last, on top
        left, top = row.x * scale, row.y * scale
        box = (left, top, max(left + row.width * scale, left + 1), max(top + row.height * scale, top + 1))
        draw.rectangle(box, outline=COLOURS[row.expression], width=stroke)
    for row in faces:
        taken.append(_label(draw, row, scale, stroke, drawn.size, taken))


def _label(
    draw: ImageDraw.ImageDraw,
    row: Row,
    scale: float,
    stroke: int,
    size: tuple[int, int],
    taken: Sequence[Box],
) -> Box:
    text = title(row)
    least = max(SMALLEST_TEXT, max(size) / 55)
    font = _font(round(min(max(row.width * scale / 7, least), 2.5 * least)))
    pad = max(2, round(font.size / 5))
    while draw.textlength(text, font) + 2 * pad > size[0] and font.size > 6:
        font = _font(font.size - 1)
    width, height = round(draw.textlength(text, font)) + 2 * pad, round(1.2 * font.size) + pad
    place = _place(row, scale, (width, height), size, taken)
    draw.rectangle(place, fill=COLOURS[row.expression])
    ink = "white" if row.expression in WHITE_ON else "black"
    draw.text((place[0] + pad, place[1] + height / 2), text, ink, font, anchor="lm")
    return place


def _place(
    row: Row, scale: float, label: tuple[int, int], size: tuple[int, int], taken: Sequence[Box]
) -> Box:
    """Above the face, below it, or inside of its upper or lower side: the first that is in the picture and
    covers no other label; else above, moved into the picture."""
    left, top, bottom = row.x * scale, row.y * scale, (row.y + row.height) * scale
    left = min(max(left, 0), size[0] - label[0])
    tops = (top - label[1], bottom, top, bottom - label[1])
    for start in tops:
        box = (left, start, left + label[0], start + label[1])
        if start >= 0 and box[3] <= size[1] and not any(_overlap(box, other) for other in taken):
            return box
    start = min(max(tops[0], 0), size[1] - label[1])
    return (left, start, left + label[0], start + label[1])


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def title(row: Row) -> str:
    """What a face shows and how sure that is: `happy 97 %`, or `sad? 38 %` if it is uncertain."""
    return f"{row.expression}{'?' if row.status == UNCERTAIN else ''} {100 * row.confidence:.0f} %"


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)
