"""Read FER2013 (Goodfellow et al. 2013, "Challenges in representation learning"), whose pictures are rows of
a CSV file, and FER+ (Barsoum et al. 2016), the votes of ten taggers for each picture.

`fer2013.csv` has the columns emotion, pixels, Usage; `icml_face_data.csv` has the same ones in another order.
Copies of FER2013 in class folders are read by folder.py; only their votes are read here.
"""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from fer_tasks.labels import VOTES, groups_among
from fer_tasks.sources.errors import SourceError
from fer_tasks.sources.listing import COLUMNS, Listing
from fer_tasks.sources.names import counted, split_of
from fer_tasks.sources.table import columns, groups_of, is_table, rows

SIDE = 48  # px
PIXELS = {"emotion", "pixels", "usage"}  # the columns of the table of pixels
EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")  # by their number in the CSV
USAGES = ("Training", "PublicTest", "PrivateTest")
# FER+'s tags in lower case -> our names; the last three tags are none of the seven expressions.
TAGS = {"anger": "angry", "disgust": "disgust", "fear": "fear", "happiness": "happy", "neutral": "neutral"}
TAGS |= {"sadness": "sad", "surprise": "surprise", "contempt": "other", "unknown": "other", "nf": "other"}


def tables(source: Path) -> list[Path]:
    """`source` itself if it is a table, else the tables in it, at most three folders down."""
    if is_table(source):
        return [source]
    below = (path for pattern in ("*", "*/*", "*/*/*") for path in source.glob(f"{pattern}.[ct]sv"))
    return sorted(path for path in below if is_table(path))


def pixel_table(source: Path) -> Path | None:
    """The first table in `source` whose header is that of FER2013's pixels; None if there is none."""
    return next((path for path in tables(source) if PIXELS <= set(columns(path))), None)


def votes_table(near: Iterable[Path]) -> Path | None:
    """The first of the tables whose header is that of FER+'s votes; None if there is none."""
    return next((path for path in near if set(TAGS) <= set(columns(path))), None)


def note_unread(path: Path) -> str:
    """Why a table of FER2013 or FER+ is not read at this path; "" for other files."""
    if not is_table(path):
        return ""
    if PIXELS <= set(columns(path)):
        return f"{path} is not read: only the first table of FER2013's pixels is; join their rows in one file"
    if votes_table([path]):
        return f"{path} is not read: put FER+'s votes into the folder of the table of pixels, in one file"
    return ""


def list_pictures(table: Path, cache: Path, save: Callable[[Path, np.ndarray], None]) -> Listing:
    """List every row of the table as a picture, or as rejected with what is wrong with it.

    `save(path, pixels)` writes (48, 48) uint8 grey pixels as a PNG below `cache`. Training becomes "train",
    PublicTest "val", PrivateTest "test".

    Raises:
        SourceError: the table cannot be read.
    """
    pictures, rejected = [], []
    for number, (_, row) in enumerate(rows(table), start=1):
        source = f"{table.name} row {number:06}"
        pixels, fault = _decode(row)
        if fault:
            rejected.append({"source": source, "reason": "bad_row", "detail": fault})
            continue
        label, split = EMOTIONS[int(row["emotion"])], split_of(row["usage"])
        path = cache / split / label / f"{number:06}.png"
        save(path, pixels)
        about = {"source": source, "path": str(path), "label": label, "source_split": split}
        pictures.append({**about, **groups_of(row)})
    notes = [] if pictures or rejected else [f"{table} has no row below its header"]
    if not votes_table(table.parent.glob("*.[ct]sv")):
        above = votes_table(sorted(table.parent.parent.glob("*.[ct]sv")))
        notes += [note_unread(above)] if above else []
    return Listing(
        pd.DataFrame(pictures, columns=[*COLUMNS, *groups_among(columns(table))], dtype=str),
        pd.DataFrame(rejected, columns=["source", "reason", "detail"], dtype=str),
        tuple(notes),
    )


def add_votes(pictures: pd.DataFrame, near: Iterable[Path]) -> pd.DataFrame:
    """Add the columns VOTES: each tag's share of FER+'s votes for a picture, 0..1.

    `near`: tables, of which the first with FER+'s votes is used; without one the pictures are returned as
    they are. The shares are NaN for a picture without votes, or with votes that are not numbers.

    A table with the column `file` names pictures as the source does, or by a base name that only one picture
    has; a repeated name is ignored. `fer2013new.csv` has no such column: its rows are those of fer2013.csv.

    Raises:
        SourceError: `fer2013new.csv` has fewer rows than fer2013.csv.
    """
    table = votes_table(near)
    if table is None:
        return pictures
    table_rows = [row for _, row in rows(table)]
    votes = pd.DataFrame({name: [row[name] for row in table_rows] for name in columns(table)})
    counts = votes[list(TAGS)].apply(pd.to_numeric, errors="coerce").astype(float)
    counts = counts.where(np.isfinite(counts).all(axis=1) & (counts >= 0).all(axis=1))
    sums = counts.T.groupby(TAGS).sum(min_count=1).T.rename(columns=lambda name: f"votes_{name}")
    shares = sums.div(sums.sum(axis=1).where(lambda total: total > 0), axis=0).round(4)[VOTES]
    if "file" in votes:
        named = shares.set_axis(votes["file"])[~votes["file"].duplicated(keep=False).to_numpy()]
        return pictures.join(named, on=_file_names(pictures, votes["file"]))
    numbers = _row_numbers(pictures)
    if numbers.isna().all():
        return pictures
    if numbers.max() > len(shares):
        raise SourceError(
            f"download.source: {table} has {counted(len(shares), 'row')}, fewer than the table of pixels; "
            "use both tables of one download"
        )
    return pictures.join(shares.set_axis(range(1, len(shares) + 1)), on=numbers)


def notes_on_votes(pictures: pd.DataFrame, near: Iterable[Path]) -> list[str]:
    """Warnings about votes that `add_votes` cannot use."""
    table = votes_table(near)
    if table is None:
        return []
    if "file" not in columns(table) and _row_numbers(pictures).isna().all():
        return [f"{table} is not used: its votes are for the rows of fer2013.csv, which is not the source"]
    table_rows = [row for _, row in rows(table)]
    if "file" in columns(table):
        names = [row["file"] for row in table_rows]
        if not _file_names(pictures, names).isin(names).any():
            return [
                f"{table} is not used: its column file names no picture of the source, or several by one name"
            ]
    bad = sum(not all(_is_count(row[tag]) for tag in TAGS) for row in table_rows)
    return [f"{table}: the votes of {counted(bad, 'row')} are not numbers and are not used"] if bad else []


def _file_names(pictures: pd.DataFrame, names: Iterable[str]) -> pd.Series:
    """How a table that holds `names` may name each picture: as the source does, else by its base name; NaN
    if several pictures have that base name."""
    whole = pictures["source"]
    base = whole.map(os.path.basename)
    return whole.where(whole.isin(list(names)), base.mask(base.duplicated(keep=False)))


def _row_numbers(pictures: pd.DataFrame) -> pd.Series:
    return pictures["source"].str.extract(r" row (\d+)$")[0].astype(float)


def _is_count(text: str) -> bool:
    try:
        return 0 <= float(text) < float("inf")
    except ValueError:
        return False


def _decode(row: dict[str | None, str]) -> tuple[np.ndarray, str]:
    """The (48, 48) uint8 pixels of a row and "", or an empty array and what is wrong with the row."""
    none = np.empty(0, np.uint8)
    if row["usage"] not in USAGES:
        return none, f"Usage {row['usage']!r}; choose one of {', '.join(USAGES)}"
    if row["emotion"] not in map(str, range(len(EMOTIONS))):
        return none, f"emotion {row['emotion']!r}; it must be a number from 0 to {len(EMOTIONS) - 1}"
    try:
        pixels = np.array(row["pixels"].split(), int)
    except (ValueError, OverflowError):
        return none, "its pixels are not all numbers"
    if pixels.size != SIDE * SIDE or pixels.min() < 0 or pixels.max() > 255:
        return none, f"{pixels.size} pixels; there must be {SIDE * SIDE}, from 0 to 255"
    return pixels.astype(np.uint8).reshape(SIDE, SIDE), ""
