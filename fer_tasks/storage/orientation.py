"""Turn pictures upright, as their EXIF or XMP says."""

from contextlib import suppress
from typing import Literal

from PIL import Image

TURNS = {  # EXIF Orientation -> the operation that makes the picture upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
LYING = {TURNS[orientation] for orientation in (5, 6, 7, 8)}
ORIENTATION = 0x0112  # the EXIF tag


def upright(image: Image.Image) -> Image.Image:
    """Turn a picture upright by its EXIF, or without EXIF by its XMP. Pillow has already turned AVIF, HEIF
    and TIFF."""
    turn = _turn(image)
    return image if turn is None else image.transpose(turn)


def upright_shape(image: Image.Image) -> tuple[int, int]:
    """The height and width in px of a picture that is opened, but need not be decoded, as `upright` turns
    it."""
    lies = _turn(image) in LYING
    return (image.width, image.height) if lies else (image.height, image.width)


def _turn(image: Image.Image) -> Image.Transpose | None:
    turn = TURNS.get(_orientation(image.info.get("exif") or b""))
    if turn is None and not image.info.get("exif"):
        with suppress(Exception):  # damaged XMP may raise anything; it is ignored
            turn = TURNS.get(image.getexif().get(ORIENTATION, 1))
    return turn


def _orientation(exif: bytes) -> int:
    """The EXIF Orientation, 1 (upright) if it cannot be read.

    Parsed here, since Pillow stops at the first damaged field, and cameras and editors write many.
    """
    tiff = exif.removeprefix(b"Exif\0\0")
    order: Literal["little", "big"] = "little" if tiff.startswith(b"II") else "big"

    def number(at: int, size: int) -> int:
        return int.from_bytes(tiff[at : at + size], order)

    first = number(4, 4)
    for at in range(first + 2, first + 2 + 12 * number(first, 2), 12):
        if number(at, 2) == ORIENTATION:
            return number(at + 8, {1: 1, 3: 2, 4: 4}.get(number(at + 2, 2), 0))
    return 1
