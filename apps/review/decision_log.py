"""The decisions file as a log that several servers append to, under a lock."""

import csv
import errno
import io
import os
import threading
import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
from filelock import FileLock, Timeout

from fer_tasks.cleaning.decisions import COLUMNS, BadDecisions, parse_decisions
from fer_tasks.errors import UserError
from fer_tasks.storage.files import read_text

WAIT_S = 10  # for another process to finish its write

Row = Mapping[str, str]


class NotRecorded(UserError):
    """The disk, or another process, prevented the write: the file is unchanged."""


class DecisionLog:
    """The rows of the decisions file; read and write them within `locked()`.

    Raises:
        BadDecisions: the file cannot be parsed; the message names the line.
    """

    def __init__(self, path: Path):
        self.path = path
        self._lock = FileLock(path.with_name(f".{path.name}.lock"), timeout=WAIT_S)
        self._thread = threading.Lock()
        self._seen_mark: tuple[int, ...] = ()  # the mark of the file as it was last read
        self._rows: list[tuple[str, ...]] = []
        self._by_face: dict[str, list[Row]] = {}
        self._edition = ""  # changes when earlier rows of the file were changed
        with self.locked():
            pass

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the file against other writers and read what they have added.

        Raises:
            NotRecorded: another process holds the lock for too long.
            BadDecisions: the file cannot be parsed.
        """
        with self._thread:
            try:
                self._lock.acquire()
            except (Timeout, OSError) as error:
                raise NotRecorded(f"{self.path} cannot be locked: {error}") from None
            try:
                self._refresh()
                yield
            finally:
                self._lock.release()

    @property
    def cursor(self) -> str:
        """The cursor for a client that has seen every row so far."""
        return f"{self._edition}-{len(self._rows)}"

    @property
    def table(self) -> pd.DataFrame:
        """The rows as `parse_decisions` returns them."""
        return parse_decisions(read_text(self.path), str(self.path))

    def faces(self) -> list[str]:
        """The ids of all faces that have a row."""
        return list(self._by_face)

    def about(self, image_id: str) -> list[Row]:
        """The rows of a face, whatever pixels they are for, in the order they were written."""
        return self._by_face.get(image_id, [])

    def changes_since(self, cursor: str) -> list[str] | None:
        """The ids of the faces with rows after `cursor`; None if the file was rewritten since."""
        edition, _, rows = cursor.partition("-")
        if edition != self._edition or not rows.isdecimal():
            return None
        return list(dict.fromkeys(row[0] for row in self._rows[int(rows) :]))

    def add(self, rows: Sequence[Sequence[str]]) -> None:
        """Append rows, each with all COLUMNS, and sync them to disk: all or none.

        Raises:
            BadDecisions: a row withdraws a decision that was never made.
            NotRecorded: the disk is full, or an editor has just changed the file.
        """
        rows = [tuple(row) for row in rows]
        self._check_withdrawals(rows)
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        self._seen_mark = _append(self.path, text.getvalue(), self._seen_mark)
        self._index(rows)

    def _refresh(self) -> None:
        mark = _mark(self.path)
        if mark == self._seen_mark:
            return
        table = parse_decisions(read_text(self.path), str(self.path))
        rows = list(table[COLUMNS].itertuples(index=False, name=None))
        if not self._edition or rows[: len(self._rows)] != self._rows:  # not only appended to
            self._edition = uuid.uuid4().hex
        self._rows, self._by_face = [], defaultdict(list)
        self._index(rows)
        self._seen_mark = mark

    def _index(self, rows: Sequence[tuple[str, ...]]) -> None:
        self._rows.extend(rows)
        for row in rows:
            self._by_face[row[0]].append(dict(zip(COLUMNS, row, strict=True)))

    def _check_withdrawals(self, rows: Sequence[tuple[str, ...]]) -> None:
        new: dict[tuple[str, str, str], int] = defaultdict(int)
        for face, pixels, verdict, _, reviewer, *_ in rows:
            who = (face, pixels, reviewer)
            new[who] += -1 if verdict == "withdraw" else 1
            if self._standing_count(*who) + new[who] < 0:
                raise BadDecisions(f"{self.path}: {reviewer} has no decision on {face} to withdraw")

    def _standing_count(self, image_id: str, pixels: str, reviewer: str) -> int:
        rows = [row for row in self.about(image_id) if (row["pixels"], row["reviewer"]) == (pixels, reviewer)]
        return len(rows) - 2 * sum(row["verdict"] == "withdraw" for row in rows)


def _mark(path: Path) -> tuple[int, ...]:
    try:
        return _mark_of(path.stat())
    except OSError:
        return ()


def _mark_of(status: os.stat_result) -> tuple[int, ...]:
    return status.st_ino, status.st_size, status.st_mtime_ns


def _append(path: Path, text: str, seen: tuple[int, ...]) -> tuple[int, ...]:
    """Append text in one write and sync it to disk; if that fails, the file is unchanged.

    `seen`: the mark of the file that the text was made for. Returns the new mark.
    """
    try:
        file = os.open(path, os.O_RDWR | os.O_APPEND)
    except OSError as error:
        raise NotRecorded(f"{path}: {error.strerror}") from None
    try:
        before = os.fstat(file)
        if _mark_of(before) != seen:  # an editor, which takes no lock, has just saved the file
            raise NotRecorded(f"{path} was changed by another program at the same moment; decide again")
        unterminated = before.st_size and os.pread(file, 1, before.st_size - 1) != b"\n"
        data = ("\n" * bool(unterminated) + text).encode()
        try:
            if os.write(file, data) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(file)
        except OSError as error:
            os.ftruncate(file, before.st_size)
            raise NotRecorded(f"{path}: {error.strerror}") from None
        return _mark_of(os.fstat(file))
    finally:
        os.close(file)
