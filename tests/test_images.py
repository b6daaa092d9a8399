"""Decoding what the web calls pictures."""

import io
import struct
import zlib

import numpy as np
import pillow_heif
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fer_tasks.storage.images import BadImage, decode_image, encode_jpeg, encode_png, pixel_hash

LIMIT = 10**6
RAMP = np.linspace(0, 255, 40 * 30 * 3).reshape(40, 30, 3).astype(np.uint8)


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def rgb(*values: int) -> Image.Image:
    return Image.new("RGB", (30, 40), values)


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "I", "I;16", "F"]
)
def test_every_mode_becomes_rgb(mode):
    image = Image.new(mode, (30, 40))
    form = "TIFF" if mode in ("CMYK", "YCbCr", "I", "F", "PA", "LA", "I;16") else "PNG"
    if mode == "PA":
        image, form = image.convert("RGBA"), "PNG"
    decoded = decode_image(saved(image, form), LIMIT)
    assert decoded.shape == (40, 30, 3) and decoded.dtype == np.uint8


def test_pixels_survive_a_png():
    assert np.array_equal(decode_image(encode_png(RAMP), LIMIT), RAMP)


def test_sixteen_bits_are_scaled_and_not_cut():
    grey = Image.fromarray(np.full((40, 30), 32896, np.uint16))
    assert decode_image(saved(grey, "PNG"), LIMIT)[0, 0].tolist() == [128, 128, 128]


GREYS = np.arange(1200).reshape(40, 30) % 256  # 0..255


@pytest.mark.parametrize(
    "values",
    [
        GREYS.astype(np.int32),
        (GREYS * 257).astype(np.int32),
        (GREYS * 257 - 32768).astype(np.int32),
        (GREYS * 2**23).astype(np.int32),
        (GREYS / 255).astype(np.float32),
        GREYS.astype(np.float32),
        (GREYS * 257).astype(np.float32),
        (GREYS / 127.5 - 1).astype(np.float32),
        (GREYS / 255 * 1.02).astype(np.float32),
        (GREYS * 4).astype(np.float32),
        np.where(GREYS == 0, np.nan, GREYS / 255).astype(np.float32),
        np.where(GREYS == 255, np.inf, GREYS / 255).astype(np.float32),
    ],
    ids="as_8 as_16 signed_16 as_31 share as_float float_16 -1..1 overshoot ten_bits nan infinite".split(),
)
def test_more_than_16_bits_are_scaled_and_never_black(values):
    decoded = decode_image(saved(Image.fromarray(values), "TIFF"), LIMIT)
    assert np.abs(decoded - GREYS[..., None]).max() <= 1


def tiff_of(values: np.ndarray, sample_format: int) -> bytes:
    """A TIFF of one strip; `values`: (M, N[, 3]); `sample_format`: 1 unsigned, 2 signed."""
    height, width, channels = (*values.shape, 1)[:3]
    fields = {256: width, 257: height, 258: values.itemsize * 8, 259: 1, 262: 2 if channels > 1 else 1}
    fields |= {273: 8, 277: channels, 278: height, 279: values.nbytes, 339: sample_format}
    if channels > 1:
        fields[258] = 8 + values.nbytes
    listed = b"".join(
        struct.pack("<HHII", tag, 4 if tag != 258 else 3, 3 if tag == 258 and channels > 1 else 1, value)
        for tag, value in sorted(fields.items())
    )
    bits = struct.pack("<4H", *[values.itemsize * 8] * 4)
    start = b"II*\0" + struct.pack("<I", 8 + values.nbytes + len(bits))
    return start + values.tobytes() + bits + struct.pack("<H", len(fields)) + listed + bytes(4)


@pytest.mark.parametrize("values", [GREYS.astype(np.uint32) * 2**24, GREYS.astype(np.uint32) * (2**24 + 3)])
def test_unsigned_32_bits_do_not_turn_negative(values):
    decoded = decode_image(tiff_of(values, 1), LIMIT)
    assert np.abs(decoded - GREYS[..., None]).max() <= 1


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
@pytest.mark.parametrize("top", [255, 1023, 4095, 16383, 65535])
def test_greys_of_16_bits_are_scaled_as_those_of_32(form, top):
    values = GREYS * top // 255
    few, many = (
        saved(Image.fromarray(values.astype(t)), f) for t, f in ((np.uint16, form), (np.int32, "TIFF"))
    )
    decoded = decode_image(few, LIMIT)
    assert np.array_equal(decoded, decode_image(many, LIMIT))
    if top != 16383:  # whose white nobody can know: a photo of 16 bits may be as dark
        assert np.abs(decoded.astype(int) - GREYS[..., None]).max() <= 1


@pytest.mark.parametrize("values", [GREYS.astype(np.uint8), (GREYS * 257).astype(np.uint16)])
def test_a_tiff_in_which_zero_is_white(values):
    data = bytearray(tiff_of(values, 1))
    at = data.index(struct.pack("<HHII", 262, 4, 1, 1))
    data[at : at + 12] = struct.pack("<HHII", 262, 4, 1, 0)
    decoded = decode_image(bytes(data), LIMIT)
    assert np.abs(decoded.astype(int) - (255 - GREYS[..., None])).max() <= 1


def test_a_header_of_a_kind_that_is_not_read_may_be_sound():
    with pytest.raises(BadImage, match="begins like TIFF, but its header is damaged or not supported"):
        decode_image(tiff_of(np.zeros((40, 30, 3), np.uint32), 1), LIMIT)


def test_signed_16_bits():
    decoded = decode_image(tiff_of((GREYS * 257 - 32768).astype(np.int16), 2), LIMIT)
    assert np.abs(decoded - GREYS[..., None]).max() <= 1


def png_of_16_bits(values: np.ndarray) -> bytes:
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    chunks = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize("encode", [png_of_16_bits, lambda values: tiff_of(values, 1)], ids=["PNG", "TIFF"])
def test_colours_of_16_bits(encode):
    decoded = decode_image(encode(RAMP.astype(np.uint16) * 257), LIMIT)
    assert np.array_equal(decoded, RAMP)


def test_cmyk_and_palette_keep_their_colours():
    red = rgb(200, 10, 10)
    assert (
        np.abs(decode_image(saved(red.convert("CMYK"), "TIFF"), LIMIT).astype(int) - [200, 10, 10]).max() < 3
    )
    assert decode_image(saved(red.quantize(4), "PNG"), LIMIT)[0, 0].tolist() == [200, 10, 10]


def test_transparent_lies_on_white():
    clear = Image.new("RGBA", (30, 40), (0, 0, 0, 0))
    assert decode_image(saved(clear, "PNG"), LIMIT).min() == 255


def test_exif_orientation_is_honoured():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = saved(Image.fromarray(RAMP), "JPEG", exif=exif)
    assert decode_image(data, LIMIT).shape == (30, 40, 3)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 7])
def test_each_format_is_turned_once(form, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo = Image.fromarray(np.kron(RAMP, np.ones((4, 4, 1), np.uint8)))
    turned = {1: lambda a: a, 3: lambda a: a[::-1, ::-1], 6: lambda a: np.rot90(a, -1)}
    expected = turned.get(orientation, lambda a: a[::-1, ::-1].transpose(1, 0, 2))(np.asarray(photo))
    decoded = decode_image(saved(photo, form, exif=exif.tobytes()), LIMIT)
    assert decoded.shape == expected.shape
    assert np.abs(decoded.astype(int) - expected).mean() < 8


def test_a_photo_of_an_iphone_is_decoded():
    photo = Image.fromarray(np.kron(RAMP, np.ones((16, 16, 1), np.uint8)))
    exif = Image.Exif()
    exif[0x0112] = 6
    data = saved(photo, "HEIF", exif=exif.tobytes(), thumbnails=[64], quality=90)
    assert data[4:12] == b"ftypheic"
    upright = np.rot90(np.asarray(photo), -1)
    for enough in (None, 50):  # the thumbnail inside, 64 px, may show another cut of the picture
        decoded = decode_image(data, LIMIT, enough=enough)
        assert decoded.shape == upright.shape and np.abs(decoded.astype(int) - upright).mean() < 4
    with pytest.raises(BadImage, match="too_many_pixels: 640 x 480"):
        decode_image(data, 1000)


def test_ten_bits_of_an_iphone_are_scaled():
    values = np.kron(RAMP, np.ones((4, 4, 1), np.uint8)).astype(np.uint16) * 257
    buffer = io.BytesIO()
    pillow_heif.from_bytes("RGB;16", values.shape[1::-1], values.tobytes()).save(buffer, quality=-1)
    assert pillow_heif.open_heif(buffer).info["bit_depth"] == 10
    decoded = decode_image(buffer.getvalue(), LIMIT)
    assert np.abs(decoded.astype(int) - values // 257).mean() < 4


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG"])
def test_the_first_frame_of_an_animation(form):
    data = saved(rgb(250, 0, 0), form, save_all=True, append_images=[rgb(0, 0, 250)], duration=50)
    assert decode_image(data, LIMIT)[5, 5, 0] > 240


@pytest.mark.parametrize("share", [0.3, 0.5, 0.9])
@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_half_a_file_is_broken(form, share):
    noise = np.random.default_rng(0).integers(0, 255, (80, 80, 3), np.uint8)
    data = saved(Image.fromarray(noise), form)
    with pytest.raises(BadImage) as caught:
        decode_image(data[: int(len(data) * share)], LIMIT)
    assert caught.value.reason == "broken_picture"


@pytest.mark.parametrize("data", [b"", b"no picture", b"<html>", b"\xff\xd8\xff"])
def test_what_is_no_picture_is_told(data):
    with pytest.raises(BadImage) as caught:
        decode_image(data, LIMIT)
    assert caught.value.reason in ("not_a_picture", "broken_picture")


def test_a_decompression_bomb_is_refused_by_its_header():
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    bomb += struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    with pytest.raises(BadImage) as caught:
        decode_image(bomb, LIMIT)
    assert (caught.value.reason, caught.value.detail) == ("too_many_pixels", "30000 x 30000 px > 1000000 px")


def test_one_pixel_is_too_small():
    with pytest.raises(BadImage) as caught:
        decode_image(saved(Image.new("RGB", (1, 1)), "PNG"), LIMIT, min_side=24)
    assert caught.value.reason == "too_small"


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["PNG", "JPEG", "GIF"]), st.integers(0, 10**6), st.integers(0, 255))
def test_a_flipped_byte_decodes_or_is_a_bad_image(form, where, value):
    data = bytearray(saved(Image.fromarray(RAMP), form))
    data[where % len(data)] = value
    try:
        assert decode_image(bytes(data), LIMIT).ndim == 3
    except BadImage:
        pass


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes_decode_or_are_a_bad_image(data):
    try:
        decode_image(data, LIMIT)
    except BadImage:
        pass


def test_the_pixel_hash_tells_pixels_and_shapes_apart():
    other = RAMP.copy()
    other[3, 3, 1] ^= 1
    hashes = {
        pixel_hash(RAMP),
        pixel_hash(other),
        pixel_hash(RAMP.reshape(30, 40, 3)),
        pixel_hash(RAMP[:, :, :1]),
    }
    assert len(hashes) == 4 and pixel_hash(RAMP) == pixel_hash(RAMP.copy(order="F"))


def test_a_large_jpeg_is_decoded_no_larger_than_enough_needs():
    photo = Image.fromarray(np.kron(RAMP, np.ones((40, 40, 1), np.uint8)))
    data = saved(photo, "JPEG", quality=95)
    whole, small = decode_image(data, 10**8), decode_image(data, 10**8, enough=300)
    assert whole.shape == (1600, 1200, 3) and small.shape == (400, 300, 3)
    assert np.abs(whole[2::4, 2::4].astype(int) - small).mean() < 8
    assert decode_image(data, 10**8, enough=1601).shape == whole.shape
    assert decode_image(saved(photo, "PNG"), 10**8, enough=300).shape == whole.shape


@pytest.mark.parametrize(("side", "shape"), [(20, (20, 15, 3)), (40, (40, 30, 3)), (99, (40, 30, 3))])
def test_a_jpeg_is_shrunk_to_a_side_and_never_enlarged(side, shape):
    decoded = decode_image(encode_jpeg(RAMP, side, 80), LIMIT)
    assert decoded.shape == shape and abs(decoded.mean() - RAMP.mean()) < 3
