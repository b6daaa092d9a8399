"""Write rows as they come: to standard output, or to a CSV, JSONL or Parquet file.

A file is whole or absent: its rows are first collected beside it, in `<name>.<digest of the settings>.part`.
The same command that finds such a part goes on where it ends.
"""

import csv
import glob
import hashlib
import io
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from apps.predict.tables import INTEGERS, TEXTS, Row, head_line, line, rounded
from fer_tasks.errors import UserError, writing_to

FORMATS = (".csv", ".jsonl", ".parquet")
Write = Callable[[Row], str]  # a row as a line of text: no value has a line break
Read = Callable[[str], dict[str, Any]]  # the other way


class Printed:
    """Rows on standard output: a table for people, or CSV."""

    done: Mapping[str, int] = {}
    statuses: Mapping[str, int] = {}

    def __init__(self, head: str, write: Write):
        self._waiting, self._write = head, write

    def append(self, rows: Sequence[Row]) -> None:
        """Write all rows of a picture or a frame."""
        text = self._waiting + "".join(map(self._write, rows))
        self._waiting = ""
        sys.stdout.buffer.write(text.encode())
        sys.stdout.buffer.flush()


def printed(columns: Sequence[str], shown: Mapping[str, int]) -> Printed:
    """The table that standard output takes: on a terminal the columns `shown` in these widths, else CSV."""
    if sys.stdout.isatty():
        return Printed(f"{head_line(shown)}\n", lambda row: f"{line(row, shown)}\n")
    return Printed(_csv_head(columns), _as_csv(columns))


class TableFile:
    """Rows in a file, which only grows by whole ones."""

    def __init__(self, part: Path, head: str, write: Write, read: Read):
        self.part, self._write, self._read, self._start = part, write, read, len(head.encode())
        # What an unfinished run has written, by the column `file`: how many frames, 0 of a picture.
        self.done: dict[str, int] = {}
        self.statuses: Counter[str] = Counter()  # of its rows
        with writing_to(part.parent):
            size = self._find_whole_rows(head.encode()) if part.exists() else 0
            self._file = part.open("ab", buffering=0)
            self._file.truncate(size)
            if not size:
                self._add(head.encode())

    def rows(self, file: str) -> Iterator[dict[str, Any]]:
        """What an unfinished run has written of a picture or a video, by column."""
        with self.part.open("rb") as records:
            records.seek(self._start)
            yield from (row for row in map(self._read, map(bytes.decode, records)) if row["file"] == file)

    def append(self, rows: Sequence[Row]) -> None:
        """Write all rows of a picture or a frame. Raises DiskError, with none of them written."""
        with writing_to(self.part.parent):
            self._add("".join(map(self._write, rows)).encode())

    def close(self) -> None:
        self._file.close()

    def _add(self, data: bytes) -> None:
        size = self.part.stat().st_size
        try:
            while data:
                data = data[self._file.write(data) :]
        except BaseException:  # a full disk or Ctrl-C
            self._file.truncate(size)
            raise

    def _find_whole_rows(self, head: bytes) -> int:
        """The bytes to keep: without the last picture or frame, whose rows may not all be there."""
        last: dict[str, Any] = {}
        statuses: Counter[str] = Counter()  # of the picture's or frame's rows so far
        with self.part.open("rb") as file:
            if file.read(len(head)) != head:
                return 0
            kept = end = len(head)
            for record in file:
                if not record.endswith(b"\n"):
                    break
                values = self._read(record.decode())
                if last and (values["file"], values["frame"]) != (last["file"], last["frame"]):
                    kept = end
                    self._note(last, statuses)
                    statuses = Counter()
                last, end = values, end + len(record)
                statuses[last["status"]] += 1
        return kept

    def _note(self, last: dict[str, Any], statuses: Counter[str]) -> None:
        self.statuses += statuses
        self.done[last["file"]] = self.done.get(last["file"], 0) + (last["frame"] is not None)


def check_format(out: Path) -> None:
    """Raises UserError: rows cannot be written to a file of this name."""
    if out.suffix.lower() not in FORMATS:
        raise UserError(f"{out}: name a file that ends in {', '.join(FORMATS)}")


@contextmanager
def table_file(out: Path, columns: Sequence[str], settings: str, go_on: bool = True) -> Iterator[TableFile]:
    """Collect rows in a part, and rename it when all went well. `settings`: all that the rows depend on but
    the pictures; a part of other settings is removed, and any if it is not to `go_on`.

    Raises:
        DiskError: the disk is full or cannot be written.
    """
    digest = hashlib.sha256(json.dumps([*columns, settings]).encode()).hexdigest()[:8]
    part = out.with_name(f"{out.name}.{digest}.part")
    with writing_to(out.parent):
        out.parent.mkdir(parents=True, exist_ok=True)
        for other in out.parent.glob(f"{glob.escape(out.name)}.????????.part"):
            if other != part or not go_on:
                other.unlink()
    table = TableFile(part, *_format(out.suffix.lower(), columns))
    try:
        yield table
    finally:
        table.close()
    with writing_to(out.parent):
        if out.suffix.lower() == ".parquet":
            _to_parquet(part, out, columns)
        else:
            os.replace(part, out)


def _format(suffix: str, columns: Sequence[str]) -> tuple[str, Write, Read]:
    """The head of a part, and how its rows are written and read."""
    if suffix == ".csv":
        return _csv_head(columns), _as_csv(columns), _from_csv(columns)
    values = rounded if suffix == ".jsonl" else lambda row: row._asdict()
    return "", lambda row: _as_json(values(row), columns), json.loads


def _csv_head(columns: Sequence[str]) -> str:
    return ",".join(columns) + "\n"


def _as_csv(columns: Sequence[str]) -> Write:
    def write(row: Row) -> str:
        values, text = rounded(row), io.StringIO()
        csv.writer(text, lineterminator="\n").writerow([values.get(name) for name in columns])
        return text.getvalue()

    return write


def _from_csv(columns: Sequence[str]) -> Read:
    def read(text: str) -> dict[str, Any]:
        row = dict(zip(columns, next(csv.reader([text])), strict=True))
        numbers = {name: int(row[name]) if row[name] else None for name in INTEGERS}
        return {**row, **numbers, "time": float(row["time"]) if row["time"] else None}

    return read


def _as_json(values: Mapping[str, Any], columns: Sequence[str]) -> str:
    return json.dumps({name: values.get(name) for name in columns}, ensure_ascii=False) + "\n"


def _to_parquet(part: Path, out: Path, columns: Sequence[str]) -> None:
    import duckdb  # here: other formats need not wait for it

    kinds = dict.fromkeys(columns, "DOUBLE") | dict.fromkeys(TEXTS, "VARCHAR")
    kinds = {name: "BIGINT" if name in INTEGERS else kinds[name] for name in columns}
    new = part.with_suffix(".parquet")
    rows = f"read_json({_quoted(part)}, format='newline_delimited', columns={kinds})"
    try:
        with duckdb.connect() as database:
            database.execute(f"COPY (FROM {rows}) TO {_quoted(new)} (FORMAT parquet)")
        os.replace(new, out)
    finally:
        new.unlink(missing_ok=True)
    part.unlink()


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
