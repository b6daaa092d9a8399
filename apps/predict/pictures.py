"""Decode whatever a picture comes as: upright RGB, of which a smaller copy may be enough."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from fer_tasks.errors import UserError
from fer_tasks.sources.names import shown
from fer_tasks.sources.verdict import SPECIAL, fault_of
from fer_tasks.storage import images
from fer_tasks.video.addresses import is_address, without_password

MAX_PIXELS = 120_000_000  # of a picture; larger ones are refused before they are decoded
JPEG = b"\xff\xd8"
Source = str | Path | bytes | Image.Image | np.ndarray


class UnreadablePicture(UserError):
    """Something is no picture that can be used."""


class Picture(NamedTuple):
    """An upright picture."""

    name: str
    shape: tuple[int, int]  # height, width in px
    # (M, N, 3) uint8 RGB: the picture, or a smaller copy whose longer side has at least so many px
    read: Callable[[int], np.ndarray]


def open_picture(source: Source, bgr: bool, name: str | None, max_pixels: int = MAX_PIXELS) -> Picture:
    """A picture of a file, its bytes, a PIL image or an (M, N, 3) uint8 array, RGB unless `bgr`.

    `max_pixels`: of a file; one that has more is refused before it is decoded.

    Raises:
        UnreadablePicture: it cannot be read or decoded, or the array has another shape or dtype.
    """
    match source:
        case np.ndarray():
            return of_array(checked(source, bgr), name or "")
        case Image.Image():
            return of_array(_of_pil(source), name or getattr(source, "filename", ""))
        case bytes():
            return _of_bytes(source, name or "", max_pixels)
        case str() if is_address(source):
            instead = "pass a picture's bytes, or a stream to Predictor.video"
            raise UnreadablePicture(f"{without_password(source)} is an address, not a file; {instead}")
        case str() | Path():
            return _of_bytes(_content(Path(source)), name or shown(source), max_pixels)
    kinds = "a path, bytes, a PIL image or an array of (M, N, 3) uint8"
    raise UnreadablePicture(f"a picture is {kinds}, not {type(source).__name__}")


def of_array(image: np.ndarray, name: str) -> Picture:
    """A picture that is decoded: (M, N, 3) uint8 RGB."""
    return Picture(name, image.shape[:2], lambda enough: image)


def checked(image: np.ndarray, bgr: bool) -> np.ndarray:
    """An array as (M, N, 3) uint8 RGB. Raises UnreadablePicture: it has another shape or dtype."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        is_float = image.dtype.kind == "f"
        fix = "; multiply shares by 255 and convert: (255 * image).astype('uint8')" if is_float else ""
        given = f"{image.shape} {image.dtype}"
        raise UnreadablePicture(f"an array is one picture of shape (M, N, 3) and uint8, not {given}{fix}")
    return np.ascontiguousarray(image[:, :, ::-1]) if bgr else image


def _of_pil(image: Image.Image) -> np.ndarray:
    if image.width * image.height > MAX_PIXELS:
        raise UnreadablePicture(f"{image.width} x {image.height} px are more than {MAX_PIXELS:,}")
    try:
        return images.to_rgb(image)
    except Exception as error:  # decoders raise anything on damage
        raise UnreadablePicture(f"this image cannot be decoded: {error}") from None


def _content(path: Path) -> bytes:
    if (fault := fault_of(path)) and fault.reason == SPECIAL and not path.is_dir():
        raise UnreadablePicture(f"{shown(path)}: {fault.detail}")
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnreadablePicture(f"{shown(path)}: {error.strerror}") from None


def _of_bytes(data: bytes, name: str, max_pixels: int) -> Picture:
    def decode(enough: int | None) -> np.ndarray:
        try:
            return images.decode_image(data, max_pixels, enough=enough)
        except images.BadImage as bad:
            raise UnreadablePicture(f"{name or 'these bytes'}: {bad.detail}") from None

    if not data.startswith(JPEG):
        return of_array(decode(None), name)
    try:
        shape = images.decoded_shape(data, max_pixels)
    except images.BadImage as bad:
        raise UnreadablePicture(f"{name or 'these bytes'}: {bad.detail}") from None
    return _of_jpeg(shape, decode, name)


def _of_jpeg(shape: tuple[int, int], decode: Callable[[int], np.ndarray], name: str) -> Picture:
    """A JPEG is decoded at 1/8, 1/4 or 1/2 of its size where that is enough; at each size once."""
    copies: dict[int, np.ndarray] = {}

    def read(enough: int) -> np.ndarray:
        share = enough / max(shape)
        times = min(side // math.ceil(side * share) for side in shape)  # as Pillow chooses
        times = next((smaller for smaller in (8, 4, 2) if times >= smaller), 1)
        if times not in copies:
            copies[times] = decode(enough)
        return copies[times]

    return Picture(name, shape, read)
