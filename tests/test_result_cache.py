"""Results on disk only save time: a damaged cache is made anew, a full disk is told once, old results go."""

import gc
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from diskcache import Cache

from flows.engine import result_cache
from flows.engine.result_cache import MISSING, ResultCache

CODE = "0123456789abcdef" * 4
RESULTS = {f"{i}".encode(): np.full(2000, i) for i in range(50)}


def filled(folder: Path) -> Path:
    """A cache with all of RESULTS; returns its database."""
    with ResultCache(folder, CODE, pytest.fail) as cache:
        cache.add(RESULTS)
    return folder / CODE[:16] / "cache.db"


def truncate(database: Path) -> None:
    database.write_bytes(database.read_bytes()[: database.stat().st_size // 2])


def spoil_the_middle(database: Path) -> None:
    data = bytearray(database.read_bytes())
    data[len(data) // 4 :] = b"\xa5" * len(data[len(data) // 4 :])
    database.write_bytes(data)


def spoil_the_values(database: Path) -> None:
    with sqlite3.connect(database) as sql:
        sql.execute("UPDATE Cache SET value = x'80'")


def spoil_a_page(database: Path) -> None:
    """A number in the midst of a result: neither SQLite nor pickle can tell."""
    data = database.read_bytes()
    at = data.index(RESULTS[b"7"].tobytes()[:800])
    database.write_bytes(data[:at] + bytes([7, 0, 0, 0, 0, 0, 1]) + data[at + 7 :])


DAMAGES = {
    "truncated": truncate,
    "garbage": lambda database: database.write_bytes(b"no database" * 1000),
    "no bytes": lambda database: database.write_bytes(b""),
    "another database": lambda database: [
        database.unlink(),
        sqlite3.connect(database).execute("CREATE TABLE Settings (x)").connection.commit(),
    ],
    "pages of garbage": spoil_the_middle,
    "values of garbage": spoil_the_values,
    "another number": spoil_a_page,
}


def test_what_was_added_is_there_for_the_next_run(tmp_path):
    filled(tmp_path)
    with ResultCache(tmp_path, CODE, pytest.fail) as cache:
        assert all(key in cache and np.array_equal(cache.get(key), RESULTS[key]) for key in RESULTS)
        assert b"other" not in cache and cache.get(b"other") is MISSING


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_cache_is_made_anew(tmp_path, damage):
    DAMAGES[damage](filled(tmp_path))
    said = []
    with ResultCache(tmp_path, CODE, said.append) as cache:
        found = [cache.get(key) for key in RESULTS if key in cache]
        assert all(
            result is MISSING or np.array_equal(result, RESULTS[b"%d" % result[0]]) for result in found
        )
        assert damage == "no bytes" or "is damaged" in said[0]
        assert len(said) <= 1, "told once"
        assert cache.is_usable
        cache.add(RESULTS)
    with ResultCache(tmp_path, CODE, pytest.fail) as cache:
        assert all(np.array_equal(cache.get(key), RESULTS[key]) for key in RESULTS)


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_what_was_kept_is_found(small_disk):
    said = []
    with ResultCache(small_disk, CODE, said.append) as cache:
        for key, result in RESULTS.items():
            cache.add({key: result})
        assert not cache.is_usable and len(said) == 1
        assert said[0].startswith(f"no room in {small_disk}") and "bytes are free" in said[0]
        assert cache.get(b"0") is MISSING, "it is done without"
    with ResultCache(small_disk, CODE, said.append) as cache:
        kept = [key for key in RESULTS if key in cache]
    gc.collect()  # what is still open would keep the disk from being unmounted
    assert kept == list(RESULTS)[: len(kept)], "the first ones, or none where there is no room to look"


def test_a_disk_without_any_room_is_no_damage(small_disk):
    (small_disk / "full").write_bytes(b"\0" * 128 * 1024)
    said = []
    with ResultCache(small_disk, CODE, said.append) as cache:
        cache.add(RESULTS)
    gc.collect()
    assert len(said) == 1 and said[0].startswith(f"no room in {small_disk}")


def test_where_nothing_can_be_written_it_is_done_without(tmp_path):
    (tmp_path / "results").write_text("no folder")
    said = []
    with ResultCache(tmp_path / "results", CODE, said.append) as cache:
        cache.add(RESULTS)
        assert b"0" not in cache and not cache.is_usable
        cache.tidy(())
    assert len(said) == 1 and "cannot be used" in said[0] and (tmp_path / "results").is_file()


def test_what_other_code_has_computed_goes_when_a_run_is_through(tmp_path):
    filled(tmp_path)
    (tmp_path / "cache.db").write_text("of an earlier version")
    other = "f" * 64
    with ResultCache(tmp_path, other, pytest.fail) as cache:
        cache.add({b"new": 1})
        assert (tmp_path / CODE[:16]).exists(), "a run that is killed leaves it"
        cache.tidy([b"new"])
    assert [folder.name for folder in tmp_path.iterdir()] == [other[:16]]


def test_above_the_limit_the_oldest_go_but_for_those_that_are_used(tmp_path, monkeypatch):
    database = filled(tmp_path)
    size = database.stat().st_size
    monkeypatch.setattr(result_cache, "LIMIT", size // 2)
    monkeypatch.setattr(result_cache, "BATCH", 4)
    used = [b"0", b"1", b"30"]
    with ResultCache(tmp_path, CODE, pytest.fail) as cache:
        cache.tidy(used)
        left = [key for key in RESULTS if key in cache]
    assert set(used) <= set(left) and 15 <= len(left) <= 30
    assert left[2:] == sorted({*left[2:]}, key=int) and left[-1] == b"49", "the newest stay"
    assert Cache(str(database.parent)).volume() <= size // 2 < size

    monkeypatch.setattr(result_cache, "LIMIT", 0)
    with ResultCache(tmp_path, CODE, pytest.fail) as cache:
        cache.tidy(used)
        assert [key for key in RESULTS if key in cache] == used
