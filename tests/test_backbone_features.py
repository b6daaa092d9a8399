"""Features on disk: made once, by whoever comes first, and never taken for what they are not."""

import multiprocessing
import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fer_tasks.storage.backbone_features import NotWritten, drop_other_features, ensure_parts

ROWS = np.dtype([("x", np.float32, (5,)), ("y", np.float32, (2,))])
SIZES = {part: 10 for part in range(3, 9)}


def part_of(part: int) -> np.ndarray:
    rows = np.zeros(10, ROWS)
    rows["x"], rows["y"] = part, part + 0.5
    return rows


class Ask:
    """Asks for parts, and remembers what was made."""

    def __init__(self, folder: Path, tell: Callable[[int, int], None] = lambda ready, of: None):
        self.folder, self.tell, self.made = folder, tell, []

    def __call__(self, sizes: dict[int, int] = SIZES) -> Callable[[int], np.ndarray]:
        return ensure_parts(self.folder, self.tell, "name", sizes, self.make)

    def make(self, part: int) -> np.ndarray:
        self.made.append(part)
        return part_of(part)


def files(folder: Path) -> list[Path]:
    return sorted((folder / "name").glob("*.npy"))


def test_parts_are_made_once_and_read_as_they_were(tmp_path):
    told: list[tuple[int, int]] = []
    first, second = Ask(tmp_path), Ask(tmp_path, lambda *rows: told.append(rows))
    first({3: 10, 4: 10})
    found = second()
    assert (first.made, second.made) == ([3, 4], [5, 6, 7, 8])
    assert told == [(rows, 60) for rows in range(10, 70, 10)]
    for part in SIZES:
        assert isinstance(found(part), np.memmap) and np.array_equal(found(part), part_of(part))


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "other"])
def test_a_part_that_is_broken_is_made_anew(tmp_path, damage):
    Ask(tmp_path)()
    file = tmp_path / "name" / "5.npy"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes({"cut": data[:-30], "flipped": data, "empty": b"", "other": b"no array"}[damage])
    again = Ask(tmp_path)
    assert np.array_equal(again()(5), part_of(5)) and again.made == [5]


def test_a_full_disk_is_told_and_leaves_nothing_half_written(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, hard))  # bytes a file: writing fails as on a full disk
    try:
        with pytest.raises(
            NotWritten, match=r"features of a frozen backbone .*free some space, or check the permissions of"
        ):
            Ask(tmp_path)()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not files(tmp_path) and not list((tmp_path / "name").glob("*.partial"))
    assert np.array_equal(Ask(tmp_path)()(3), part_of(3))


def make_and_wait(folder: Path, held, go) -> None:
    """A process that is in the middle of its first part until it may go on."""

    def make(part: int) -> np.ndarray:
        held.set()
        go.wait()
        return part_of(part)

    ensure_parts(folder, lambda *rows: None, "name", SIZES, make)


@pytest.fixture
def other(tmp_path):
    """Another process that holds the first part."""
    context = multiprocessing.get_context("spawn")
    held, go = context.Event(), context.Event()
    process = context.Process(target=make_and_wait, args=(tmp_path, held, go), daemon=True)
    process.start()
    assert held.wait(120)
    yield process, go
    process.kill()
    process.join()


def test_who_comes_second_makes_what_the_first_is_not_at(tmp_path, other):
    process, go = other
    ask = Ask(tmp_path, lambda ready, of: go.set() if ready == 50 else None)
    assert np.array_equal(ask()(3), part_of(3))
    assert ask.made == [4, 5, 6, 7, 8]
    process.join()
    assert process.exitcode == 0


def test_a_process_that_is_killed_at_it_blocks_nobody(tmp_path, other):
    os.kill(other[0].pid, signal.SIGKILL)
    other[0].join()
    ask = Ask(tmp_path)
    ask()
    assert ask.made == list(SIZES)


def test_what_nobody_needs_any_more_is_removed(tmp_path):
    for group in ("wanted", "other"):
        Ask(tmp_path / group)()
    drop_other_features(tmp_path, {"wanted", "not there"})
    assert [path.name for path in tmp_path.iterdir()] == ["wanted"]
    drop_other_features(tmp_path / "nowhere", set())
