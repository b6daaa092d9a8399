"""One picture of many faces, each titled with what it shows and how sure that is."""

import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from apps.predict.annotate import COLOURS, title
from apps.predict.pictures import Picture
from apps.predict.tables import Row
from fer_tasks.faces.crop import cut_face, enough_for, face_transform
from fer_tasks.storage.files import write_bytes

SIDE, GAP = 160, 12  # px of a face, and between faces
TITLE, NAME = 19, 12  # px of text
MARGIN = 0.35  # around a face's box, as a share of its longer side
MOST = 400  # faces in one picture


class Gallery:
    """Faces, as they come, up to MOST."""

    def __init__(self) -> None:
        self.left_out = 0  # faces
        self._tiles: list[Image.Image] = []

    def add(self, rows: Sequence[Row], faces: Sequence[np.ndarray]) -> None:
        """Add faces, (SIDE, SIDE, 3) uint8 RGB each, with their rows."""
        kept = min(len(faces), MOST - len(self._tiles))
        self._tiles += [_tile(row, face) for row, face in zip(rows[:kept], faces, strict=False)]
        self.left_out += len(faces) - kept

    def save(self, file: Path) -> None:
        """Write the picture. Raises DiskError."""
        columns = max(1, math.ceil(math.sqrt(1.4 * len(self._tiles))))
        lines = max(1, math.ceil(len(self._tiles) / columns))
        width, height = SIDE + GAP, SIDE + TITLE + NAME + 2 * GAP
        sheet = Image.new("RGB", (columns * width + GAP, lines * height + GAP), "white")
        for i, tile in enumerate(self._tiles):
            sheet.paste(tile, (GAP + i % columns * width, GAP + i // columns * height))
        if not self._tiles:
            ImageDraw.Draw(sheet).text((GAP, GAP), "no face", "black", ImageFont.load_default(TITLE))
        buffer = io.BytesIO()
        sheet.save(buffer, "PNG")
        write_bytes(file, buffer.getvalue())


def face_of(picture: Picture, row: Row) -> np.ndarray:
    """A face with some of what is around it: (SIDE, SIDE, 3) uint8 RGB."""
    box = np.array([row.y, row.x, row.height, row.width])
    transform = face_transform(box, 0.0, MARGIN, SIDE)
    return cut_face(picture.read(enough_for(transform, *picture.shape)), transform, picture.shape, SIDE)


def _tile(row: Row, face: np.ndarray) -> Image.Image:
    tile = Image.new("RGB", (SIDE, SIDE + TITLE + NAME + GAP), "white")
    tile.paste(Image.fromarray(face), (0, 0))
    draw = ImageDraw.Draw(tile)
    draw.rectangle((0, SIDE, SIDE, SIDE + 5), fill=COLOURS[row.expression])
    draw.text((0, SIDE + 6), title(row), "black", ImageFont.load_default(TITLE))
    font = ImageFont.load_default(NAME)
    draw.text((0, SIDE + 8 + TITLE), _shortened(Path(row.file).name, font), "#666666", font)
    return tile


def _shortened(name: str, font: ImageFont.FreeTypeFont) -> str:
    """The name, without its beginning if it is too long."""
    short = name
    while font.getlength(short) > SIDE and len(short) > 2:
        short = "…" + short[2:]
    return short
