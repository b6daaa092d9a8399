"""Matroska files that OpenCV's writer cannot make: of a varying rate or size of frames, of a codec that
nobody has, with sound only, without a frame."""

import struct
from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from fer_tasks.video import matroska

SIZE = (640, 480)  # px; width and height that the header names
BY_FOURCC = b"V_MS/VFW/FOURCC"  # the codec's name is in the settings, a BITMAPINFOHEADER
AUDIO, RATE, CHANNELS, BITS = 0xE1, 0xB5, 0x9F, 0x6264


def video(
    pictures: Sequence[bytes], times: Sequence[int], fourcc: str, size: tuple[int, int] = SIZE
) -> bytes:
    """A file with these encoded pictures at these times, in ms. `fourcc`: `MJPG` for JPEG, `MPNG` for PNG."""
    track = matroska.track(1, BY_FOURCC, bitmap_header(fourcc, size), matroska.video_size(*size))
    duration = times[-1] + 40 if times else 0
    return _file(track, duration, zip(times, pictures, strict=True))


def bitmap_header(fourcc: str, size: tuple[int, int]) -> bytes:
    """A track's settings, which name its codec."""
    header = (40, *size, 1, 24, fourcc.encode(), size[0] * size[1] * 3, 0, 0, 0, 0)
    return matroska.value(matroska.SETTINGS, struct.pack("<IiiHH4sIiiII", *header))


def sound_only(seconds: int) -> bytes:
    """A file with a track of silence."""
    rate = matroska.element(RATE, struct.pack(">f", 8000))
    sound = matroska.element(AUDIO, rate, matroska.value(CHANNELS, 1), matroska.value(BITS, 16))
    blocks = [(1000 * second, bytes(16000)) for second in range(seconds)]
    return _file(matroska.track(2, b"A_PCM/INT/LIT", sound), 1000 * seconds, blocks)


def encoded(frame: np.ndarray, suffix: str) -> bytes:
    """A picture, (M, N, 3) uint8 RGB, as the bytes of a file: `.jpg` or `.png`."""
    return cv2.imencode(suffix, frame[:, :, ::-1])[1].tobytes()


def _file(track: bytes, duration: int, blocks: Iterable[tuple[int, bytes]]) -> bytes:
    content = matroska.info(b"tests", duration) + track + b"".join(matroska.cluster(*one) for one in blocks)
    return matroska.beginning(b"matroska") + matroska.segment(len(content)) + content
