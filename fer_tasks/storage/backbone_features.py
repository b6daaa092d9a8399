"""Read and write `.cache/features/<group>/<name>/<part>.npy`: what frozen backbones make of pictures,
computed once for all cells that ask for it, also where they run side by side.

A part is a .npy file with its CRC-32 behind it.
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
    """Features could not be written: the disk is full, or not ours."""


def ensure_parts(
    group: Path,
    tell: Callable[[int, int], None],
    name: str,
    sizes: Mapping[int, int],
    make: Callable[[int], np.ndarray],
) -> Callable[[int], np.ndarray]:
    """See that all parts of what is called `name` are there; returns what opens them, memory-mapped.

    `sizes`: how many rows each part has. A part that is missing or broken is made, by one process at a time,
    while others make other parts; who asks waits until the last is there. `tell` gets how many rows are ready
    and of how many. Raises NotWritten.
    """
    files = {part: group / name / f"{part}.npy" for part in sizes}
    ready = 0

    def attend(part: int, patience: float) -> bool:
        nonlocal ready
        try:
            _see_to(files[part], partial(make, part), patience)
        except Timeout:
            return False
        ready += sizes[part]
        tell(ready, sum(sizes.values()))
        return True

    try:
        (group / name).mkdir(parents=True, exist_ok=True)
        for part in [part for part in sizes if not attend(part, 0)]:  # what another process is at
            attend(part, -1)
    except OSError as error:
        raise NotWritten(f"features of a frozen backbone: {error}; make room, or see to {group}") from None

    @lru_cache(maxsize=128)  # each holds a file descriptor
    def part_of(part: int) -> np.ndarray:
        return np.load(files[part], mmap_mode="r")

    return part_of


def drop_other_features(folder: Path, wanted: Collection[str]) -> None:
    """Remove the groups that no cell needs any more."""
    for group in folder.iterdir() if folder.exists() else ():
        if group.name not in wanted:
            shutil.rmtree(group)


def _see_to(file: Path, make: Callable[[], np.ndarray], patience: float) -> None:
    """Make a part that is not whole, unless another process does; waits `patience` seconds for it, -1 for
    ever. The lock of a process that died is free. Raises Timeout."""
    if _is_whole(file):
        return
    with FileLock(file.with_suffix(".lock"), timeout=patience):
        if not _is_whole(file):
            _write(file, make())


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
