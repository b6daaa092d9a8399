"""Read and write `.cache/features/<group>/<name>/<part>.npy`: features of frozen backbones.

They are computed once for all cells, even if cells run in parallel. A part is a .npy file followed by its
CRC-32, 4 bytes, big-endian.
"""

import io
import os
import shutil
import zlib
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from fer_tasks.errors import UserError


class NotWritten(UserError):
    """Features could not be written: the disk is full or not writable."""


def ensure_parts(
    group: Path,
    on_progress: Callable[[int, int], None],
    name: str,
    sizes: Mapping[int, int],
    compute: Callable[[int], np.ndarray],
) -> Callable[[int], np.ndarray]:
    """Make sure every part of `name` exists and return a function that memory-maps one.

    `sizes`: the number of rows of each part. `compute(part)` returns a part's rows. A missing or damaged part
    is computed by one process, while others compute other parts; the call returns when all parts exist.
    `on_progress` gets the number of rows that are ready, and of all rows.

    Raises:
        NotWritten: the disk is full or not writable.
    """
    files = {part: group / name / f"{part}.npy" for part in sizes}
    ready = 0

    def ensure(part: int, patience: float) -> bool:
        nonlocal ready
        try:
            _ensure_part(files[part], partial(compute, part), patience)
        except Timeout:
            return False
        ready += sizes[part]
        on_progress(ready, sum(sizes.values()))
        return True

    try:
        (group / name).mkdir(parents=True, exist_ok=True)
        for part in [part for part in sizes if not ensure(part, 0)]:  # those that another process computes
            ensure(part, -1)
    except OSError as error:
        raise NotWritten(
            f"features of a frozen backbone cannot be written: {error}; free some space, or check the "
            f"permissions of {group}"
        ) from None

    @lru_cache(maxsize=128)  # each holds a file descriptor
    def part_of(part: int) -> np.ndarray:
        return np.load(files[part], mmap_mode="r")

    return part_of


def drop_other_features(folder: Path, keep: Collection[str]) -> None:
    """Remove all groups except those to keep."""
    for group in folder.iterdir() if folder.exists() else ():
        if group.name not in keep:
            shutil.rmtree(group)


def _ensure_part(file: Path, compute: Callable[[], np.ndarray], patience: float) -> None:
    """Compute a part that is missing or damaged, or wait at most `patience` s (-1: forever) for another
    process to do so. The lock of a process that dies is released. Raises Timeout."""
    if _is_whole(file):
        return
    with FileLock(file.with_suffix(".lock"), timeout=patience):
        if not _is_whole(file):
            _write(file, compute())


def _write(file: Path, array: np.ndarray) -> None:
    stream = io.BytesIO()
    np.save(stream, array)
    unfinished = file.with_suffix(".partial")
    try:
        unfinished.write_bytes(stream.getvalue() + _check_sum(stream.getbuffer()))
        os.replace(unfinished, file)
    finally:
        unfinished.unlink(missing_ok=True)


def _is_whole(file: Path) -> bool:
    data = memoryview(file.read_bytes() if file.exists() else b"")
    return len(data) > 4 and data[-4:] == _check_sum(data[:-4])


def _check_sum(data: memoryview) -> bytes:
    return zlib.crc32(data).to_bytes(4, "big")
