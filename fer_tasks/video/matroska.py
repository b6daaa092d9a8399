"""The elements of a Matroska file (RFC 9559), of which WebM is a kind: the parts that one track of pictures
takes, each picture in a cluster of its own."""

import struct
from collections.abc import Iterable, Iterator
from typing import BinaryIO, NamedTuple

EBML, SEGMENT, CLUSTER, CUES = 0x1A45DFA3, 0x18538067, 0x1F43B675, 0x1C53BB6B
SEEK_HEAD, SEEK, SEEK_ID, SEEK_PLACE = 0x114D9B74, 0x4DBB, 0x53AB, 0x53AC
INFO, TIMESTAMP_SCALE, DURATION, MUXER, WRITER = 0x1549A966, 0x2AD7B1, 0x4489, 0x4D80, 0x5741
TRACKS, TRACK, NUMBER, UID, KIND, CODEC, SETTINGS = 0x1654AE6B, 0xAE, 0xD7, 0x73C5, 0x83, 0x86, 0x63A2
VIDEO, WIDTH, HEIGHT = 0xE0, 0xB0, 0xBA
TIMESTAMP, BLOCK = 0xE7, 0xA3
CUE, CUE_TIME, CUE_PLACES, CUE_TRACK, CUE_PLACE = 0xBB, 0xB3, 0xB7, 0xF7, 0xF1
VERSIONS = ((0x4286, 1), (0x42F7, 1), (0x42F2, 4), (0x42F3, 8))  # of EBML; the longest names and sizes
TYPE, TYPE_VERSIONS = 0x4282, ((0x4287, 4), (0x4285, 2))
MILLISECOND = 1_000_000  # ns
ONLY_TRACK, KEY_FRAME = b"\x81", 0x80


class Cluster(NamedTuple):
    """Where a picture lies in a file."""

    time: int  # ms
    start: int  # byte
    end: int


def element(name: int, *content: bytes) -> bytes:
    """An element, its size in 8 bytes."""
    inner = b"".join(content)
    return _name(name) + (1 << 56 | len(inner)).to_bytes(8, "big") + inner


def value(name: int, content: int | float | bytes) -> bytes:
    """An element with one value, numbers in 8 bytes."""
    match content:
        case int():
            return element(name, content.to_bytes(8, "big"))
        case float():
            return element(name, struct.pack(">d", content))
        case _:
            return element(name, content)


def cluster(milliseconds: int, picture: bytes) -> bytes:
    """The bytes of a cluster with one picture that needs no other to be decoded."""
    block = element(BLOCK, ONLY_TRACK + struct.pack(">hB", 0, KEY_FRAME), picture)
    return element(CLUSTER, value(TIMESTAMP, milliseconds), block)


def clusters(file: BinaryIO, start: int) -> Iterator[Cluster]:
    """The whole clusters of a file that `cluster` made, from byte `start` on."""
    length = file.seek(0, 2)
    while True:
        file.seek(start)
        head = file.read(32)  # name and size of the cluster, and the timestamp with its name and size
        end = start + 12 + (int.from_bytes(head[4:12], "big") & ~(1 << 56))
        if len(head) < 32 or head[:4] != _name(CLUSTER) or end > length:
            return
        yield Cluster(int.from_bytes(head[21:29], "big"), start, end)
        start = end


def cues(places: Iterable[tuple[int, int]]) -> bytes:
    """The index of (time in ms, byte from the segment's start) that players jump by."""
    return element(
        CUES,
        *(
            element(
                CUE,
                value(CUE_TIME, time),
                element(CUE_PLACES, value(CUE_TRACK, 1), value(CUE_PLACE, place)),
            )
            for time, place in places
        ),
    )


def beginning(kind: bytes) -> bytes:
    """The first bytes of a file of this kind, `webm` or `matroska`: what stands before the segment."""
    return element(EBML, *(value(*pair) for pair in (*VERSIONS, (TYPE, kind), *TYPE_VERSIONS)))


def segment(length: int | None) -> bytes:
    """The name and size of the segment, all the rest of the file: `length` in bytes, None if unknown."""
    return _name(SEGMENT) + (
        b"\x01" + b"\xff" * 7 if length is None else (1 << 56 | length).to_bytes(8, "big")
    )


def info(program: bytes, duration: float) -> bytes:
    """`duration`: ms."""
    return element(
        INFO,
        value(TIMESTAMP_SCALE, MILLISECOND),
        value(MUXER, program),
        value(WRITER, program),
        value(DURATION, float(duration)),
    )


def seek_head(place: int) -> bytes:
    """Where the cues lie: in bytes from the segment's start."""
    return element(SEEK_HEAD, element(SEEK, value(SEEK_ID, _name(CUES)), value(SEEK_PLACE, place)))


def track(kind: int, codec: bytes, *rest: bytes) -> bytes:
    """The only track. `kind`: 1 is video, 2 sound."""
    first = (value(NUMBER, 1), value(UID, 1), value(KIND, kind), value(CODEC, codec))
    return element(TRACKS, element(TRACK, *first, *rest))


def video_size(width: int, height: int) -> bytes:
    return element(VIDEO, value(WIDTH, width), value(HEIGHT, height))


def _name(name: int) -> bytes:
    return name.to_bytes((name.bit_length() + 7) // 8, "big")
