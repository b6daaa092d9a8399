"""A folder of class folders, or a CSV of file and label -> the pictures there are."""

import csv
import difflib
import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from fer_tasks.errors import UserError
from fer_tasks.labels import EXPRESSIONS, expression_of

DEPTH = 3  # class folders are looked for so many levels down
SPLITS = {"train": "train", "training": "train", "test": "test", "testing": "test"}
SPLITS |= {"val": "val", "valid": "val", "validation": "val", "publictest": "val", "privatetest": "test"}
LITTER = {"thumbs.db", "desktop.ini"}
KNOWN = f"the classes are {', '.join(EXPRESSIONS)}, or their other names"


class SourceError(UserError):
    """The source that params.yaml names is not there, is empty, or holds no classes."""


class Listing(NamedTuple):
    """What a source holds; every file is in one of the tables."""

    pictures: pd.DataFrame  # source (path as the user knows it), path (to read it), label, source_split
    rejected: pd.DataFrame  # source, reason, detail
    warnings: list[str]


def list_pictures(source: Path) -> Listing:
    """List a folder or a .csv; nothing is decoded. Raises SourceError with what would be right."""
    if not source.exists():
        raise SourceError(f"download.source: {source} does not exist; {_nearest(source)}")
    rows = pd.DataFrame(
        _rows_of_csv(source) if source.suffix.lower() == ".csv" else _rows_of_folder(source),
        columns=["source", "path", "label", "source_split", "reason", "detail"],
    ).sort_values("source", ignore_index=True)
    if rows.empty:
        raise SourceError(f"download.source: {source} is empty; put pictures into class folders: {KNOWN}")
    pictures = rows[rows["reason"] == ""][["source", "path", "label", "source_split"]]
    if pictures.empty:
        met = ", ".join(sorted({Path(path).parts[0] for path in rows["source"]})[:8])
        raise SourceError(f"download.source: {source} holds no class folder (it has: {met}); {KNOWN}")
    rejected = rows[rows["reason"] != ""][["source", "reason", "detail"]]
    return Listing(pictures, rejected, _warnings(pictures, rejected))


def fingerprint(source: Path) -> str:
    """Has the source changed? 16 hex digits of its files' names, sizes and times; their contents are not
    read."""
    if not source.exists():
        raise SourceError(f"download.source: {source} does not exist; {_nearest(source)}")
    files = [source] if source.is_file() else [path for path, _ in _files(source)]
    if source.suffix.lower() == ".csv" and source.is_file():
        files += _files_behind(source)
    about = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(files)]
    return hashlib.sha256(repr(about).encode()).hexdigest()[:16]


def _files_behind(table: Path) -> list[Path]:
    """The files that a CSV stands for: those that its rows name; for FER2013's pixels the tables beside it,
    one of which may hold the votes."""
    with table.open(encoding="utf-8-sig", errors="replace") as file:
        if {"emotion", "pixels"} <= set(re.findall(r"\w+", file.readline(1000).lower())):
            return [path for path in table.parent.glob("*.csv") if path != table]
    return [Path(row[1]) for row in _rows_of_csv(table) if row[4] == ""]


def _files(root: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Every file and linked folder below `root` that is no litter, with the names of the folders on the
    way."""
    for folder, names, files in os.walk(root):
        names[:] = sorted(name for name in names if not name.startswith("."))
        way = Path(folder).relative_to(root).parts
        links = [name for name in names if (Path(folder) / name).is_symlink()]  # os.walk does not enter them
        for name in files + links:
            if not name.startswith(".") and name.lower() not in LITTER:
                yield Path(folder) / name, way


def _rows_of_folder(root: Path) -> Iterator[tuple[str, str, str, str, str, str]]:
    for path, way in _files(root):
        where = (path.relative_to(root).as_posix(), str(path))
        near = [name.strip().lower() for name in way]
        classes = [label for label in map(expression_of, near[:DEPTH]) if label]
        begin = path.name.lower().split("_")[0]  # FER2013's files say it: PrivateTest_10131363.jpg
        split = next((SPLITS[name] for name in (begin, *near) if name in SPLITS), "")
        if path.is_dir() or not path.resolve().is_relative_to(root.resolve()):
            yield *where, "", "", "link_not_followed", f"links to {path.resolve()}"
        elif not os.access(path, os.R_OK):
            yield *where, "", "", "unreadable", "no permission to read it"
        elif classes:
            yield *where, classes[0], split, "", ""
        elif unknown := next((name for name in way if name.lower() not in SPLITS), ""):
            yield *where, "", "", "unknown_class", f"folder {unknown!r}; {KNOWN}"
        else:
            yield *where, "", "", "no_class_folder", f"lies in no class folder; {KNOWN}"


def _rows_of_csv(source: Path) -> Iterator[tuple[str, str, str, str, str, str]]:
    try:
        table = pd.read_csv(source, sep=None, engine="python", dtype=str, encoding="utf-8-sig").fillna("")
    except (pd.errors.ParserError, pd.errors.EmptyDataError, csv.Error, UnicodeDecodeError) as error:
        raise SourceError(f"download.source: {source} is no CSV in UTF-8: {error}") from None
    table.columns = [str(name).strip().lower() for name in table.columns]
    if not {"file", "label"} <= set(table.columns):
        met = ", ".join(table.columns)
        raise SourceError(f"download.source: {source} needs the columns file and label; it has: {met}")
    for row in table.itertuples():
        path = source.parent / row.file
        where = (row.file, str(path))
        label = expression_of(row.label)
        if not path.is_file():
            yield *where, "", "", "file_not_found", f"row {row.Index + 2}: there is no such file"
        elif not label:
            yield *where, "", "", "unknown_class", f"row {row.Index + 2}: label {row.label!r}; {KNOWN}"
        else:
            yield *where, label, SPLITS.get(getattr(row, "split", "").strip().lower(), ""), "", ""


def _warnings(pictures: pd.DataFrame, rejected: pd.DataFrame) -> list[str]:
    absent = [name for name in EXPRESSIONS if name not in set(pictures["label"])]
    said = [f"the source has no picture of {name}; the models will not know it" for name in absent]
    unknown = rejected[rejected["reason"] == "unknown_class"]["detail"].str.replace(
        r"row \d+: ", "", regex=True
    )
    return said + [f"{n} files set aside: {detail}" for detail, n in unknown.value_counts().items()]


def _nearest(path: Path) -> str:
    parent = next(folder for folder in path.absolute().parents if folder.is_dir())
    close = difflib.get_close_matches(path.absolute().relative_to(parent).parts[0], os.listdir(parent), n=1)
    return f"did you mean {parent / close[0]}?" if close else f"the nearest folder there is: {parent}"
