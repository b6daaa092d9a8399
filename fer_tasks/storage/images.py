"""Decode and encode image files."""

import hashlib
import io
import math
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pillow_heif
from PIL import Image, UnidentifiedImageError

from fer_tasks.storage.orientation import upright, upright_shape

# The formats of photos. Pillow reads thirty more, but EPS would start Ghostscript, and most of their decoders
# are hardly tested on damaged files. JPEG includes MPO, a JPEG file with a second picture behind it.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF", "JPEG2000", "PPM")
OTHERS = {  # first bytes of other formats that are common among photos
    b"%!ps": "EPS or PostScript",
    b"\xc5\xd0\xd3\xc6": "EPS",
    b"8bps": "PSD",
    b"%pdf": "PDF",
    b"<svg": "SVG",
    b"<?xml": "XML",
    b"<!doctype html": "a web page",
    b"<html": "a web page",
    b"\0\0\1\0": "ICO",
    b"dds ": "DDS",
    b"qoif": "QOI",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cjxl ": "JPEG XL",
    b"pk\3\4": "a ZIP archive",
}
# The chunks of a PNG that its pixels depend on; the others are metadata.
PIXELS_OF_PNG = {b"IHDR", b"PLTE", b"tRNS", b"eXIf", b"IDAT", b"IEND"}
PHOTOMETRIC, TILE_WIDTH, TILE_LENGTH, SAMPLE_FORMAT = 262, 322, 323, 339  # TIFF tags
WHITE_IS_ZERO = 0  # a value of PHOTOMETRIC
HEAD = 1 << 14  # bytes at the start of an AVIF or HEIF file that hold its list of items
MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # of a JPEG segment; never inside the coded data
START_OF_FRAME, START_OF_SCAN = (0xC0, 0xC1, 0xC2), 0xDA
END_OF_JPEG = b"\xff\xd9"
NOISE = bytes(np.random.default_rng(0).integers(1, 255, 256, np.uint8))  # without 255, which starts a marker

Image.MAX_IMAGE_PIXELS = None  # the limit is `max_pixels` below, checked before anything is decoded
pillow_heif.register_heif_opener(decode_threads=1, thumbnails=False, depth_images=False, aux_images=False)


class BadImage(ValueError):
    """A file that cannot be used as a picture.

    `reason`: `not_a_picture`, `broken_picture`, `too_many_pixels` or `too_small`. `detail`: what is wrong.
    """

    def __init__(self, reason: str, detail: str):
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


def decode_image(data: bytes, max_pixels: int, min_side: int = 1, enough: int | None = None) -> np.ndarray:
    """Decode the bytes of an image file of one of FORMATS: (M, N, 3) uint8, RGB.

    The picture is turned upright by its EXIF orientation; of an animation the first frame is decoded.
    Transparent pixels are laid on white; more than 8 bits are scaled to 8 (see `_to_8_bits`). A file with all
    its pixels is decoded even if the rest is damaged, such as metadata or the end of a JPEG.

    `max_pixels`, `min_side` (px): limits on the size in the file's header, checked before pixels are decoded.
    `enough`: px of the longer side that are sufficient; a larger JPEG is decoded at 1/2, 1/4 or 1/8 of its
    size if that still has so many.

    Raises:
        BadImage: the file is damaged or of another format, or its size is outside the limits.
    """
    try:
        return _decode(data, max_pixels, min_side, enough)
    except BadImage as bad:
        if bad.reason != "broken_picture":
            raise
        try:
            decoded = [_decode(repaired, max_pixels, min_side, enough) for repaired in _repairs(data)]
        except BadImage:
            raise bad from None
        if not decoded or not all(np.array_equal(decoded[0], other) for other in decoded):
            raise
        return decoded[0]


def decoded_shape(data: bytes, max_pixels: int) -> tuple[int, int]:
    """Height and width in px of what `decode_image` would return of a file, by its header.

    Raises:
        BadImage: as `decode_image`, of the header.
    """
    with _opened(data, max_pixels, 1) as image:
        return upright_shape(image)


def _decode(data: bytes, max_pixels: int, min_side: int, enough: int | None) -> np.ndarray:
    with _opened(data, max_pixels, min_side) as image:
        if enough and image.format in ("JPEG", "MPO"):  # others could return an embedded thumbnail
            share = enough / max(image.size)
            image.draft(None, [math.ceil(side * share) for side in image.size])
        image.load()
        return to_rgb(image)


@contextmanager
def _opened(data: bytes, max_pixels: int, min_side: int) -> Iterator[Image.Image]:
    """A picture whose header is read. What goes wrong, there or with its pixels, is a BadImage."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd EXIF, odd palettes: only the pixels matter
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                _check_size(image, max_pixels, min_side)
                yield image
    except BadImage:
        raise
    except UnidentifiedImageError:
        raise _unidentified(data) from None
    except Exception as error:  # decoders raise anything on damage: KeyError, RuntimeError, zlib.error …
        raise BadImage("broken_picture", str(error) or type(error).__name__) from None


def _check_size(image: Image.Image, max_pixels: int, min_side: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise BadImage("too_many_pixels", f"{width} x {height} px > {max_pixels} px")
    if min(width, height) < min_side:
        raise BadImage("too_small", f"{width} x {height} px, a side < {min_side} px")
    if image.format == "TIFF":  # its tiles may be larger than the picture, and are decoded whole
        width, height = (image.tag_v2.get(tag, 1) for tag in (TILE_WIDTH, TILE_LENGTH))
        if width * height > max_pixels:
            raise BadImage("too_many_pixels", f"a tile of {width} x {height} px > {max_pixels} px")


def _unidentified(data: bytes) -> BadImage:
    start = data[:64].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if other := next((name for begins, name in OTHERS.items() if start.startswith(begins)), None):
        return BadImage("not_a_picture", f"{other}; supported formats: {', '.join(FORMATS)}")
    formats = [name for name in FORMATS if data and Image.OPEN[name][1](data[:16]) is True]
    if formats:
        return BadImage(
            "broken_picture", f"begins like {formats[0]}, but its header is damaged or not supported"
        )
    return BadImage("not_a_picture", f"{len(data)} bytes in none of the formats {', '.join(FORMATS)}")


def _repairs(data: bytes) -> list[bytes]:
    """Repaired copies of a damaged file; if all decode to the same pixels, these are the picture's."""
    if data.startswith(b"\x89PNG"):
        return [data[:8] + b"".join(chunk for chunk in _chunks(data) if chunk[4:8] in PIXELS_OF_PNG)]
    if data.startswith(b"\xff\xd8") and _has_all_scans(data):
        # The decoder fills missing pixels with grey. If noise at the end changes them, some are missing.
        cut = data.rstrip(b"\xff")
        return [cut + END_OF_JPEG, cut + NOISE + END_OF_JPEG]
    if data[4:8] == b"ftyp":  # AVIF and HEIF: EXIF and XMP, renamed to other kinds of items, are ignored
        head = data[:HEAD].replace(b"Exif", b"free").replace(b"mime", b"free")
        return [head + data[HEAD:]]
    return []


def _has_all_scans(jpeg: bytes) -> bool:
    """Whether the last scan of every component has begun; before that, a progressive JPEG is only coarse."""
    missing, at = {(0, 0)}, 2  # (component, its first or last frequency) not yet in full precision
    while match := MARKER.search(jpeg, at):
        start = match.end()
        at = start + int.from_bytes(jpeg[start : start + 2], "big")
        marker, segment = match[0][1], jpeg[start + 2 : at]
        if marker in START_OF_FRAME:
            missing = {(component, end) for component in segment[6::3] for end in (0, 63)}
        if marker == START_OF_SCAN and len(segment) >= 6:
            low, high, bits = segment[-3:]
            if bits % 16 == 0:  # otherwise another scan has the remaining bits
                missing -= {(component, end) for component in segment[1:-3:2] for end in (low, high)}
    return not missing


def _chunks(png: bytes) -> Iterator[bytes]:
    """Yield the chunks of a PNG, each with its length, name and checksum; the last one may be cut off."""
    at = 8
    while at < len(png):
        end = at + 12 + int.from_bytes(png[at : at + 4], "big")
        yield png[at:end]
        at = end


def to_rgb(image: Image.Image) -> np.ndarray:
    """A picture as Pillow has opened it, upright: (M, N, 3) uint8; see `decode_image`."""
    image = upright(image)
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        image = Image.fromarray(_grey(image))
    elif image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))  # it would copy


def _grey(image: Image.Image) -> np.ndarray:
    """The (M, N) uint8 grey values of a picture with more than 8 bits."""
    grey, tags = np.asarray(image), image.tag_v2 if image.format == "TIFF" else {}
    if image.format == "TIFF" and image.mode == "I" and tags.get(SAMPLE_FORMAT, (1,)) == (1,):
        grey = grey.view(np.uint32)  # Pillow has no mode for unsigned 32 bits
    scaled = _to_8_bits(grey)
    return 255 - scaled if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO else scaled  # Pillow inverts only 8 bits


def _to_8_bits(grey: np.ndarray) -> np.ndarray:
    """Scale (M, N) grey values, integers of 16 or 32 bits or floats, to uint8.

    No file states which value is white. It is taken to be the smallest of 1 (only for floats), 255 and 65535
    that is not below the largest value; or the largest value itself, if it is above 65535 or below a
    sixteenth of that white, or if there are negative values. Black is 0, or the smallest value if that is
    negative. NaN becomes black.
    """
    finite = grey[np.isfinite(grey)]
    if not finite.size:
        return np.zeros(grey.shape, np.uint8)
    black, largest = min(float(finite.min()), 0.0), float(finite.max())
    whites = ([1.0] if grey.dtype.kind == "f" else []) + [255.0, 65535.0]
    white = next((white for white in whites if largest <= white), largest)
    if black < 0 or largest < white / 16:
        white = largest
    share = (grey - np.float32(black)) / max(white - black, np.finfo(np.float32).tiny)
    return np.round(255 * np.nan_to_num(share, nan=0.0).clip(0, 1)).astype(np.uint8)


def read_image(path: Path, enough: int | None = None) -> np.ndarray:
    """Decode a file that a stage wrote or checked: (M, N, 3) uint8, RGB; `enough` as in `decode_image`."""
    return decode_image(path.read_bytes(), max_pixels=2**40, enough=enough)


def read_image_for(path: Path, needs: Iterable[int]) -> dict[int, np.ndarray]:
    """`read_image` for each value of `enough` in `needs`, by that value.

    A JPEG is decoded once for each; any other file once, at its own size.
    """
    data = path.read_bytes()
    if data.startswith(b"\xff\xd8"):
        return {need: decode_image(data, max_pixels=2**40, enough=need) for need in set(needs)}
    return dict.fromkeys(needs, decode_image(data, max_pixels=2**40))


def read_size(path: Path) -> tuple[int, int]:
    """Height and width in px, by the header of a file that a stage wrote."""
    with Image.open(path, formats=FORMATS) as image:
        return image.height, image.width


def encode_png(image: np.ndarray) -> bytes:
    """PNG bytes of an (M, N[, 3]) uint8 image."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG", compress_level=3)
    return buffer.getvalue()


def encode_jpeg(image: np.ndarray, side: int, quality: int) -> bytes:
    """JPEG bytes of an (M, N, 3) uint8 image, shrunk to a longer side of at most `side` px; `quality`:
    1..95."""
    small = Image.fromarray(image)
    small.thumbnail((side, side))
    buffer = io.BytesIO()
    small.save(buffer, format="JPEG", quality=quality)
    return buffer.getvalue()


def pixel_hash(image: np.ndarray) -> str:
    """The first 16 hex digits of the SHA-256 of an image's shape, dtype and pixels."""
    digest = hashlib.sha256(repr((image.shape, str(image.dtype))).encode())
    digest.update(np.ascontiguousarray(image).tobytes())
    return digest.hexdigest()[:16]


def perceptual_hash(image: np.ndarray) -> str:
    """The 256-bit DCT hash (pHash; Zauner 2010) of an (M, N, 3) uint8 image, as 64 hex digits.

    Only a few bits differ between near-copies: resized, recompressed or brighter pictures.
    """
    import imagehash  # here: it takes time to import

    return str(imagehash.phash(Image.fromarray(image), hash_size=16))
