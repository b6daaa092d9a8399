"""List the pictures that a table names: its columns are file and label, split and group_… if there are."""

import os
from collections.abc import Sequence
from pathlib import Path

from fer_tasks.labels import COPIES, expression_of
from fer_tasks.sources import table
from fer_tasks.sources.errors import SourceError
from fer_tasks.sources.listing import CLASSES, Listing, as_listing
from fer_tasks.sources.names import shown, split_of
from fer_tasks.sources.verdict import Verdict, fault_of, unused

USED = {"file", "label", "split"}
Row = dict[str | None, str]


def is_label_table(path: Path) -> bool:
    """Whether the file is a table with the columns file and label."""
    return table.is_table(path) and {"file", "label"} <= set(table.columns(path))


def list_table(source: Path) -> Listing:
    """List the files that a table names; their paths are relative to its folder.

    Raises:
        SourceError: the table lacks a column, or cannot be read.
    """
    columns, rows = table.columns(source), list(table.rows(source))
    if not {"file", "label"} <= set(columns):
        present = shown(", ".join(columns)) or "none"
        raise SourceError(f"download.source: {source} needs the columns file and label; it has: {present}")
    files = [
        (shown(name := _name(source, row)), source.parent / name, _verdict(source, number, row))
        for number, row in rows
    ]
    notes = _unused_splits(columns, [row for _, row in rows])
    if COPIES in columns:
        notes.append(f"the column {COPIES!r} is not used: near-copies of a face have that name; rename it")
    return as_listing(files, notes, [table.groups_of(row) for _, row in rows])


def pictures_behind(source: Path) -> list[Path]:
    """The files that a label table names, existing or not; none if `source` is not a readable label table."""
    if not is_label_table(source):
        return []
    try:
        return [source.parent / _name(source, row) for _, row in table.rows(source)]
    except SourceError:
        return []


def _name(source: Path, row: Row) -> str:
    """The file name in a row, stripped of spaces unless a file with the spaces exists."""
    name = row["file"]
    return name if os.path.lexists(source.parent / name) else name.strip()


def _verdict(source: Path, number: int, row: Row) -> Verdict:
    verdict = _of_row(source, row)
    return verdict._replace(detail=f"row {number}: {verdict.detail}") if verdict.reason else verdict


def _of_row(source: Path, row: Row) -> Verdict:
    label, split = expression_of(row["label"]), row.get("split", "").strip()
    if any(value.strip() for value in row.get(None, ())):  # a comma at the end of a row adds an empty value
        return unused("bad_row", "more values than columns; put a name with a comma in quotes")
    if not row["file"].strip():
        return unused("bad_row", "it names no file")
    if fault := fault_of(source.parent / _name(source, row)):
        return fault
    if not label:
        return unused("unknown_class", f"label {shown(row['label'])!r}; {CLASSES}")
    if split and not split_of(split):
        return unused("unknown_split", f"split {shown(split)!r}; write train, val, test or nothing")
    return Verdict(label, split_of(split) or "")


def _unused_splits(columns: Sequence[str], rows: Sequence[Row]) -> list[str]:
    """A warning for each column that holds splits but is not called `split`."""
    others = [name for name in dict.fromkeys(columns) if name not in USED]
    with_splits = [name for name in others if rows and all(split_of(row[name]) for row in rows)]
    return [f"the column {shown(name)!r} holds splits and is not used; call it split" for name in with_splits]
