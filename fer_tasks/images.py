"""Decode and encode image files."""

import hashlib
import io
import math
import warnings
from pathlib import Path

import imagehash
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

Image.MAX_IMAGE_PIXELS = None  # the bound is `max_pixels` below, checked before anything is decoded


class BadImage(ValueError):
    """A file that cannot be used as a picture: `reason` is a fixed word, `detail` says what was met."""

    def __init__(self, reason: str, detail: str):
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


def decode_image(data: bytes, max_pixels: int, min_side: int = 1, enough: int | None = None) -> np.ndarray:
    """Decode the bytes of an image file, upright by its EXIF orientation; the first frame of an animation.

    `max_pixels`, `min_side`: bounds on the size in the file's header, checked before its pixels are decoded.
    `enough`: px of the longer side that will do; a larger JPEG is decoded at 1/2, 1/4 or 1/8 where that is no
    less. Returns (M, N, 3) uint8, RGB; transparent pixels lie on white, 16-bit grey is scaled to 8. Raises
    BadImage: `not_a_picture`, `too_many_pixels`, `too_small`, `broken_picture`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd EXIF, odd palettes: the pixels are what counts
            with Image.open(io.BytesIO(data)) as image:
                _check_size(image.size, max_pixels, min_side)
                if enough:
                    share = enough / max(image.size)
                    image.draft(None, [math.ceil(side * share) for side in image.size])
                return np.asarray(_to_rgb(ImageOps.exif_transpose(image)))
    except UnidentifiedImageError:
        raise BadImage("not_a_picture", f"{len(data)} bytes in no format that Pillow knows") from None
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError, MemoryError) as error:
        if isinstance(error, BadImage):
            raise
        raise BadImage("broken_picture", str(error)) from None  # what Pillow's decoders raise on half a file


def _check_size(size: tuple[int, int], max_pixels: int, min_side: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise BadImage("too_many_pixels", f"{width} x {height} px > {max_pixels} px")
    if min(width, height) < min_side:
        raise BadImage("too_small", f"{width} x {height} px, a side < {min_side} px")


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        grey = np.asarray(image).astype(np.uint32)
        return Image.fromarray((grey // 257).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def read_image(path: Path, enough: int | None = None) -> np.ndarray:
    """Decode a file that a stage of ours wrote or checked: (M, N, 3) uint8, RGB; `enough` as in
    `decode_image`."""
    return decode_image(path.read_bytes(), max_pixels=2**40, enough=enough)


def read_size(path: Path) -> tuple[int, int]:
    """Height and width, px, by the header of a file that a stage of ours wrote."""
    with Image.open(path) as image:
        return image.height, image.width


def encode_png(image: np.ndarray) -> bytes:
    """PNG bytes of an (M, N[, 3]) uint8 image."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG", compress_level=3)
    return buffer.getvalue()


def encode_jpeg(image: np.ndarray, side: int, quality: int) -> bytes:
    """JPEG bytes of an (M, N, 3) uint8 image, shrunk so that its longer side is at most `side` px; `quality`:
    1..95."""
    small = Image.fromarray(image)
    small.thumbnail((side, side))
    buffer = io.BytesIO()
    small.save(buffer, format="JPEG", quality=quality)
    return buffer.getvalue()


def pixel_hash(image: np.ndarray) -> str:
    """The first 16 hex digits of the SHA-256 of an image's shape and pixels: equal for equal pictures."""
    digest = hashlib.sha256(repr((image.shape, str(image.dtype))).encode())
    digest.update(np.ascontiguousarray(image).tobytes())
    return digest.hexdigest()[:16]


def perceptual_hash(image: np.ndarray) -> str:
    """The 256-bit DCT hash (pHash; Zauner 2010) of an (M, N, 3) uint8 image, as 64 hex digits: few bits
    differ between near-copies (resized, recompressed, brighter)."""
    return str(imagehash.phash(Image.fromarray(image), hash_size=16))
