"""Results on disk, by key: `.cache/results/<stage>/<task>/<digest of the code>`.

It only saves time: a damaged cache is rebuilt, and a run goes without one that cannot be written.
"""

import errno
import pickle
import shutil
import sqlite3
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from diskcache import Cache, Timeout

from fer_tasks.errors import free_bytes

Result = TypeVar("Result")
LIMIT = 8 * 2**30  # bytes of a task; results that the last run used always stay
MISSING = object()
BATCH = 100
SUM = 4  # bytes of a checksum
# https://sqlite.org/rescode.html: the disk or another process is the cause, not damage.
UNDAMAGED = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
}
CANNOT_WRITE = (sqlite3.Error, Timeout, OSError)
CANNOT_READ = (*CANNOT_WRITE, ValueError, TypeError)  # diskcache raises these for damaged settings of its own


class ResultCache:
    """The results of a task, in one folder for each digest of its code."""

    def __init__(self, folder: Path, code: str, warn: Callable[[str], None], journal: str = "wal"):
        """`journal`: SQLite's journal mode, `delete` if processes of several machines share the cache. `warn`
        gets a line if the cache is damaged or cannot be written; nothing is raised for it."""
        self.folder, self._warn = folder / code[:16], warn
        self._settings = {"disk_min_file_size": 2**20, "sqlite_journal_mode": journal}
        self._cache: Cache | None = None
        self._open()

    def __enter__(self) -> "ResultCache":
        return self

    def __exit__(self, *error: Any) -> None:
        self._close()

    def __contains__(self, key: bytes) -> bool:
        return self._use(lambda cache: key in cache, False, CANNOT_READ)

    @property
    def is_usable(self) -> bool:
        """Whether results can be stored."""
        return self._cache is not None

    def get(self, key: bytes) -> Any:
        """The result, or MISSING."""
        return self._use(lambda cache: _unpacked(cache.get(key)), MISSING, CANNOT_READ)

    def add(self, results: Mapping[bytes, Any]) -> None:
        """Store results, all or none."""

        def write(cache: Cache) -> None:
            with cache.transact():
                for key, result in results.items():
                    cache[key] = _packed(result)

        self._use(write, None, CANNOT_WRITE)

    def tidy(self, used: Collection[bytes]) -> None:
        """Drop results of other code and, above LIMIT, those that are not `used`, the oldest first."""
        for other in self.folder.parent.glob("*"):
            if other != self.folder:
                _remove(other)
        self._use(lambda cache: _shrink(cache, {*used}), None, CANNOT_READ)

    def _use(self, do: Callable[[Cache], Result], otherwise: Result, faults: tuple) -> Result:
        if self._cache is None:
            return otherwise
        try:
            return do(self._cache)
        except faults as fault:
            self._close()
            self._open_after(fault)
            return otherwise

    def _open(self) -> None:
        try:
            self._cache = Cache(str(self.folder), eviction_policy="none", **self._settings)
        except CANNOT_READ as fault:
            self._open_after(fault)

    def _open_after(self, fault: BaseException) -> None:
        """Rebuild the cache if it is damaged, else go without one."""
        if why := _what_hinders(fault, self.folder):
            self._warn(f"{why}; results from here on are not kept for the next run")
            return
        self._warn(f"{self.folder} is damaged ({fault}): it is removed, and its results are computed again")
        try:
            shutil.rmtree(self.folder)
            self._cache = Cache(str(self.folder), eviction_policy="none", **self._settings)
        except CANNOT_READ as fault:
            self._warn(f"{self.folder} cannot be rebuilt ({fault}): results are not kept")

    def _close(self) -> None:
        if self._cache is not None:
            self._cache.close()
        self._cache = None


def _packed(result: Any) -> bytes:
    """A result with a checksum before it: SQLite has no checksums of its own."""
    data = pickle.dumps(result)
    return zlib.crc32(data).to_bytes(SUM) + data


def _unpacked(packed: bytes | None) -> Any:
    """The result, or MISSING. Raises sqlite3.DatabaseError if it is not what was stored."""
    if packed is None:
        return MISSING
    if not isinstance(packed, bytes) or zlib.crc32(packed[SUM:]) != int.from_bytes(packed[:SUM]):
        raise sqlite3.DatabaseError("a result is not what was stored")
    return pickle.loads(packed[SUM:])


def _what_hinders(fault: BaseException | None, folder: Path) -> str:
    """Why a cache cannot be used although it is not damaged; "" if it is damaged."""
    while fault:
        code = getattr(fault, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_FULL or getattr(fault, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            return f"no room in {folder}: {free_bytes(folder):,} bytes are free"
        if isinstance(fault, Timeout) or code in UNDAMAGED or isinstance(fault, OSError):
            return f"{folder} cannot be used ({fault or 'another process holds it'})"
        fault = fault.__context__  # a full disk also makes the rollback of a statement fail
    return ""


def _shrink(cache: Cache, used: set[bytes]) -> None:
    unused: Iterator[bytes] = iter(
        [key for key in cache if key not in used] if cache.volume() > LIMIT else []
    )
    while cache.volume() > LIMIT and (batch := [*islice(unused, BATCH)]):
        with cache.transact():
            for key in batch:
                del cache[key]


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
