"""Damaged files: whatever lies in one, a picture or BadImage comes out, and whole pixels are kept."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from fer_tasks.storage.images import FORMATS, BadImage, decode_image
from tests.test_images import LIMIT, saved

RNG = np.random.default_rng(0)
ROWS, COLUMNS = np.mgrid[:56, :40]
RAMPS = np.stack([COLUMNS * 6, ROWS * 4, (ROWS + COLUMNS) * 2], axis=-1)
PHOTO = Image.fromarray((0.8 * RAMPS + RNG.integers(0, 50, RAMPS.shape)).astype(np.uint8))
EXIF = Image.Exif()
EXIF[0x0112], EXIF[0x010F] = 6, "a maker of cameras"
TURNED = EXIF.tobytes()


def file_of(form: str, mode: str = "RGB", frames: int = 1, **options: object) -> bytes:
    more = {"save_all": True, "append_images": [PHOTO.rotate(180).convert(mode)]} if frames > 1 else {}
    return saved(PHOTO.convert(mode), form, **more, **options)


FILES = {
    "jpeg": file_of("JPEG", exif=TURNED),
    "progressive": file_of("JPEG", progressive=True),
    "cmyk": file_of("JPEG", mode="CMYK"),
    "mpo": file_of("MPO", frames=2),
    "png": file_of("PNG", exif=TURNED),
    "palette png": file_of("PNG", mode="P", transparency=3),
    "16-bit png": saved(Image.fromarray(RNG.integers(0, 65536, (40, 30), np.uint16)), "PNG"),
    "animated png": file_of("PNG", frames=2),
    "webp": file_of("WEBP", exif=TURNED),
    "lossless webp": file_of("WEBP", lossless=True),
    "animated webp": file_of("WEBP", frames=2),
    "gif": file_of("GIF"),
    "animated gif": file_of("GIF", frames=2),
    "bmp": file_of("BMP"),
    "palette bmp": file_of("BMP", mode="P"),
    "tiff": file_of("TIFF", exif=TURNED),
    "lzw tiff": file_of("TIFF", compression="tiff_lzw"),
    "deflate tiff": file_of("TIFF", compression="tiff_adobe_deflate"),
    "jpeg tiff": file_of("TIFF", compression="jpeg"),
    "float tiff": file_of("TIFF", mode="F"),
    "two pages": file_of("TIFF", frames=2),
    "avif": file_of("AVIF", exif=TURNED),
    "heic": file_of("HEIF", exif=TURNED),
    "heic sequence": file_of("HEIF", frames=2),
    "jpeg 2000": file_of("JPEG2000"),
    "ppm": file_of("PPM"),
    "plain ppm": b"P3\n12 10 255\n" + b" ".join(b"%d" % value for value in RNG.integers(0, 256, 360)),
    "pfm": file_of("PPM", mode="F"),
}


def test_the_files_are_of_all_formats_that_are_read():
    assert {Image.open(io.BytesIO(data)).format for data in FILES.values()} == {*FORMATS, "MPO"}


def reason(data: bytes) -> str:
    """ "" for a picture, else why it is none; fails where anything but BadImage is raised."""
    try:
        decoded = decode_image(data, LIMIT)
    except BadImage as bad:
        return bad.reason
    assert decoded.ndim == 3 and decoded.dtype == np.uint8 and decoded.shape[0] * decoded.shape[1] <= LIMIT
    return ""


@pytest.mark.parametrize("kind", FILES)
def test_a_damaged_file_is_a_picture_or_bad(kind):
    data, rng = FILES[kind], np.random.default_rng(len(FILES[kind]))
    assert reason(data) == ""
    for _ in range(25):
        start = int(rng.integers(len(data)))
        end = min(start + int(rng.integers(1, 500)), len(data))
        reason(data[:start])
        reason(data[:start] + bytes(end - start) + data[end:])
        reason(data[:start] + data[end:])
        flipped, header = bytearray(data), bytearray(data)
        for at in rng.integers(0, len(data), 3):
            flipped[at] = rng.integers(256)
        for at in rng.integers(0, min(len(data), 200), 2):
            header[at] = rng.choice([0, 1, 127, 128, 255])
        reason(bytes(flipped))
        reason(bytes(header))


SEVERAL = {"mpo", "animated png", "animated webp", "animated gif", "two pages", "heic sequence"}  # frames


@pytest.mark.parametrize("kind", [kind for kind in FILES if kind not in SEVERAL])
def test_a_file_cut_off_in_its_pixels_is_broken(kind):
    for share in (0.3, 0.5, 0.75, 0.9):
        assert reason(FILES[kind][: int(len(FILES[kind]) * share)]) == "broken_picture", share


@pytest.mark.parametrize("kind", ["jpeg", "progressive", "cmyk", "png", "palette png", "16-bit png", "gif"])
def test_wherever_a_file_is_cut_its_pixels_are_whole_or_it_is_broken(kind):
    data = FILES[kind]
    whole = decode_image(data, LIMIT)
    assert np.array_equal(decode_image(data[:-1], LIMIT), whole)
    assert np.array_equal(decode_image(data[:-2], LIMIT), whole)
    for end in [*range(100, len(data), 11), *range(len(data) - 40, len(data))]:
        try:
            assert np.array_equal(decode_image(data[:end], LIMIT), whole), end
        except BadImage as bad:
            assert bad.reason == "broken_picture"


def test_a_jpeg_without_its_end_is_decoded_small_too():
    data = saved(PHOTO.resize((800, 1120)), "JPEG")
    assert np.array_equal(decode_image(data[:-2], LIMIT, enough=200), decode_image(data, LIMIT, enough=200))


@pytest.mark.parametrize(
    "extra",
    [
        {"icc_profile": bytes(2_000_000)},
        {"pnginfo": (text := PngInfo(), text.add_text("note", "x" * 2_000_000, zip=True))[0]},
    ],
    ids=["colour profile", "text"],
)
def test_what_a_png_says_beside_its_pixels_may_be_large_or_damaged(extra):
    data = saved(PHOTO, "PNG", exif=TURNED, **extra)
    assert np.array_equal(decode_image(data, LIMIT), np.rot90(np.asarray(PHOTO), -1))
    name = data.index(b"iCCP" if "icc_profile" in extra else b"zTXt")
    damaged = data[: name + 30] + b"damage" + data[name + 36 :]  # its checksum is wrong now, too
    assert np.array_equal(decode_image(damaged, LIMIT), np.rot90(np.asarray(PHOTO), -1))


TYPES = (1, 2, 3, 5, 7, 10, 12, 99)  # of a value in EXIF: bytes, text, short, ratio, anything …


def turned_exif(tag: int, kind: int, count: int, order: str = "<") -> bytes:
    """EXIF with Orientation 6 and another entry, of any type and number of values."""
    value = struct.pack(f"{order}I", 38)
    entries = sorted([(tag, kind, count, value), (0x0112, 3, 1, struct.pack(f"{order}HH", 6, 0))])
    listed = b"".join(struct.pack(f"{order}HHI", *entry[:3]) + entry[3] for entry in entries)
    start = b"II*\0\x08\0\0\0" if order == "<" else b"MM\0*\0\0\0\x08"
    return b"Exif\0\0" + start + struct.pack(f"{order}H", 2) + listed + bytes(4) + struct.pack("<II", 72, 1)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "HEIF"])
def test_of_exif_only_the_orientation_matters(form):
    shapes = {
        decode_image(saved(PHOTO, form, exif=turned_exif(tag, kind, count, order)), LIMIT).shape
        for tag in (0x100, 0x10F)
        for kind in TYPES
        for count, order in ((1, "<"), (8, ">"), (2**31, "<"))
    }
    assert shapes == {(40, 56, 3)}


@pytest.mark.parametrize("form", ["TIFF", "AVIF"])
def test_nor_where_the_decoder_itself_turns(form):
    data = FILES[form.lower()]
    at = max(data.find(struct.pack(order + "HH", 0x10F, 2)) for order in "<>")
    shapes = {
        decode_image(data[:at] + struct.pack("<HHI", tag, kind, count) + data[at + 8 :], LIMIT).shape
        for tag in (0x100, 0x10F, 0x11A)
        for kind in TYPES
        for count in (1, 8, 2**31)
        if form == "AVIF" or tag != 0x100  # a TIFF's own width is no EXIF
    }
    assert shapes == {(40, 56, 3)}


@pytest.mark.parametrize(
    "exif", [b"", b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0nonsense", b"\xff" * 99]
)
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_exif_that_cannot_be_read_means_upright(form, exif):
    data = saved(PHOTO, form, exif=exif) if exif or form != "PNG" else saved(PHOTO, form)
    assert decode_image(data, LIMIT).shape == (56, 40, 3)


def entries_of_tiff(entries: dict[int, tuple[int, int]], pixels: bytes) -> bytes:
    at = 8 + 2 + 12 * (len(entries) + 2) + 4
    entries |= {324: (4, at), 325: (4, len(pixels))}
    listed = b"".join(
        struct.pack("<HHII", tag, *(kind, 1, value)) for tag, (kind, value) in sorted(entries.items())
    )
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + listed + bytes(4) + pixels


def test_a_tile_far_larger_than_its_picture_is_refused_before_it_is_decoded():
    small = {256: (4, 100), 257: (4, 100), 258: (3, 8), 259: (3, 8), 262: (3, 1), 277: (3, 1)}
    bomb = entries_of_tiff({**small, 322: (4, 20_000), 323: (4, 20_000)}, zlib.compress(bytes(10**6)))
    with pytest.raises(BadImage, match="too_many_pixels: a tile of 20000 x 20000 px"):
        decode_image(bomb, LIMIT)
    fair = entries_of_tiff({**small, 322: (4, 112), 323: (4, 112)}, zlib.compress(bytes([200]) * 112**2))
    assert decode_image(fair, LIMIT).shape == (100, 100, 3)


def test_a_frame_larger_than_its_animation_is_refused():
    data = bytearray(FILES["gif"])
    at = data.index(b"\x2c\0\0\0\0", 13 + 3 * 256)
    data[at + 5 : at + 9] = struct.pack("<HH", 60_000, 60_000)
    assert reason(bytes(data)) == "too_many_pixels"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(out) run", "EPS"),
        (saved(PHOTO, "EPS"), "EPS"),
        (b"8BPS\0\1" + bytes(99), "PSD"),
        (b"\n<!DOCTYPE HTML><p>404", "a web page"),
        (b"\xef\xbb\xbf<svg xmlns=''/>", "SVG"),
        (saved(PHOTO, "ICO"), "ICO"),
        (saved(PHOTO, "DDS"), "DDS"),
        (saved(PHOTO, "PCX"), "none of the formats JPEG, PNG"),
        (saved(PHOTO.convert("F"), "SPIDER"), "none of the formats JPEG, PNG"),
        (saved(PHOTO.convert("P"), "BLP"), "none of the formats JPEG, PNG"),
    ],
)
def test_a_format_that_is_not_wanted_is_never_opened(data, said, monkeypatch):
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *_: pytest.fail("Ghostscript was started"))
    with pytest.raises(BadImage, match="not_a_picture") as caught:
        decode_image(data, LIMIT)
    assert said in caught.value.detail


def test_a_damaged_header_is_told_from_a_file_that_is_none():
    assert reason(FILES["png"][:20] + bytes(8) + FILES["png"][28:]) == "broken_picture"
