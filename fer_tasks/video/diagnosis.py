"""Find out why OpenCV reads no frame of a file, or not all of them: it does not say."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from fer_tasks.video.containers import Kind, kind_of

HEAD = 1 << 20  # bytes at the start of a file that say what is in it
SEGMENT = b"\x18\x53\x80\x67"  # of Matroska
ONLY_SOUND = "it has sound only, no video"


def why_unreadable(path: Path) -> str:
    """Why no frame of a file can be read, in words that follow the file's name."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        return str(error.strerror)
    if not head:
        return "it is empty"
    if (kind := kind_of(head)) in (None, "picture"):
        return "it is no video, or of a format that is not supported"
    if _has_sound_only(path, kind, head):
        return ONLY_SOUND
    if is_cut_off(path):
        return "it is cut off before its first frame, or its index at the end is missing; copy it again"
    return "it has no frame, or is of a codec that is not supported; convert it to H.264, for example"


def is_cut_off(path: Path) -> bool:
    """Whether an MP4, AVI, Matroska or WebM file is shorter than it says itself; False where it does not
    say."""
    with path.open("rb") as file:
        head, length = file.read(HEAD), file.seek(0, os.SEEK_END)
        match kind_of(head):
            case "mp4":
                boxes = list(_boxes(file))
                return sum(size for _, size in boxes) > length or b"moov" not in dict(boxes)
            case "avi":
                return 8 + int.from_bytes(head[4:8], "little") > length
            case "matroska":
                return _matroska_length(head) > length
    return False


def _has_sound_only(path: Path, kind: Kind, head: bytes) -> bool:
    if kind == "mp4":
        with path.open("rb") as file:
            moov = next((file.read(size) for name, size in _boxes(file) if name == b"moov"), b"")
        return b"soun" in moov and b"vide" not in moov
    if kind == "matroska":
        return bool(re.search(rb"A_[A-Z]", head)) and not re.search(rb"V_[A-Z]", head)
    return kind == "sound" or b"auds" in head and b"vids" not in head


def _boxes(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Name and size of each box of an MP4 file; while one is yielded, the file stands at its content."""
    at = 0
    while len(head := file.read(8) if file.seek(at) == at else b"") == 8:
        size, name = int.from_bytes(head[:4], "big"), head[4:]
        if size == 1:
            size = int.from_bytes(file.read(8), "big")
        if size < 8:  # 0: up to the file's end
            return
        yield name, size
        at += size


def _matroska_length(head: bytes) -> int:
    """Where the segment of a Matroska file ends; 0 if it does not say."""
    at = head.find(SEGMENT) + 4
    if at < 4 or at >= len(head) or not head[at]:
        return 0
    length = 9 - head[at].bit_length()  # bytes of the size, told by the leading zeros of the first
    size = int.from_bytes(head[at : at + length], "big") & ((1 << 7 * length) - 1)
    return 0 if size == (1 << 7 * length) - 1 else at + length + size
