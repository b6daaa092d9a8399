"""Decoding what the web calls pictures."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fer_tasks.images import BadImage, decode_image, encode_jpeg, encode_png, pixel_hash

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
