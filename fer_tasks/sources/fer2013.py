"""FER2013 (Goodfellow et al. 2013, "Challenges in representation learning"): its pixels in a CSV -> pictures,
and FER+ (Barsoum et al. 2016): ten taggers' votes for a picture.

`fer2013.csv` has the columns emotion, pixels, Usage; `icml_face_data.csv` the same in another order. Where
the faces are files in class folders they need nothing of this but the votes.
"""

import csv
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from fer_tasks.labels import EXPRESSIONS
from fer_tasks.sources.folder import SPLITS, Listing, SourceError

SIDE = 48  # px
EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")  # by their number in the CSV
USAGES = ("Training", "PublicTest", "PrivateTest")
# FER+'s names in lower case, and what they are here; the last three are no expression of ours.
TAGS = {"anger": "angry", "disgust": "disgust", "fear": "fear", "happiness": "happy", "neutral": "neutral"}
TAGS |= {"sadness": "sad", "surprise": "surprise", "contempt": "other", "unknown": "other", "nf": "other"}
VOTES = [f"votes_{name}" for name in (*EXPRESSIONS, "other")]
AT_ONCE = 2048  # rows; the whole CSV is 300 MB


def tables(source: Path) -> list[Path]:
    """The CSV that `source` is, or those that it holds, at most three folders down."""
    if source.suffix.lower() == ".csv":
        return [source]
    return sorted([*source.glob("*.csv"), *source.glob("*/*.csv"), *source.glob("*/*/*.csv")])


def pixel_table(source: Path) -> Path | None:
    """The CSV of FER2013's pixels that `source` is or holds, by its header; None where it is something
    else."""
    return next((path for path in tables(source) if {"emotion", "pixels", "usage"} <= _header(path)), None)


def list_pictures(table: Path, cache: Path, save: Callable[[Path, np.ndarray], None]) -> Listing:
    """Every row of the CSV as a picture, and what is wrong with others.

    `save(path, pixels)` writes (48, 48) uint8 grey pixels as a PNG below `cache`.
    Training is "train", PublicTest "val", PrivateTest "test". Raises SourceError for a table that cannot be
    read.
    """
    pictures, rejected = [], []
    for number, row in _rows(table):
        source = f"{table.name} row {number:06}"
        pixels, fault = _decode(row)
        if fault:
            rejected.append({"source": source, "reason": "bad_row", "detail": fault})
            continue
        label, split = EMOTIONS[int(row["emotion"])], SPLITS[row["usage"].lower()]
        path = cache / split / label / f"{number:06}.png"
        save(path, pixels)
        pictures.append({"source": source, "path": str(path), "label": label, "source_split": split})
    return Listing(
        pd.DataFrame(pictures, columns=["source", "path", "label", "source_split"]),
        pd.DataFrame(rejected, columns=["source", "reason", "detail"]),
        [],
    )


def add_votes(pictures: pd.DataFrame, near: Iterable[Path]) -> pd.DataFrame:
    """The pictures with their shares of FER+'s votes in the columns VOTES, 0..1, where one of the tables
    `near` has them; empty for a picture that has none.

    A table with the column `file` names pictures, and a name that it has twice says nothing;
    `fer2013new.csv` has a row for each of fer2013.csv. Raises SourceError where that has fewer.
    """
    table = next((path for path in near if set(TAGS) <= _header(path)), None)
    if table is None:
        return pictures
    votes = pd.read_csv(table).rename(columns=lambda name: name.strip().lower())
    given = votes[list(TAGS)].T.groupby(TAGS).sum().T.rename(columns=lambda name: f"votes_{name}")
    shares = given.div(given.sum(axis=1).where(lambda total: total > 0), axis=0).round(4)[VOTES]
    if "file" in votes:
        named = shares.set_axis(votes["file"])[~votes["file"].duplicated(keep=False).to_numpy()]
        return pictures.join(named, on=pictures["source"].map(os.path.basename))
    rows = pictures["source"].str.extract(r" row (\d+)$")[0].astype(float)
    if rows.isna().any() or rows.max() > len(shares):
        raise SourceError(f"download.source: {table} has {len(shares)} rows, the pictures' table has more")
    return pictures.join(shares.set_axis(range(1, len(shares) + 1)), on=rows)


def _header(table: Path) -> set[str]:
    with table.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        return {name.strip().lower() for name in file.readline(1000).split(",")}


def _rows(table: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows from 1 on, with column names in lower case."""
    number = 0
    try:
        for chunk in pd.read_csv(
            table, dtype=str, keep_default_na=False, chunksize=AT_ONCE, skipinitialspace=True
        ):
            chunk.columns = [name.strip().lower() for name in chunk.columns]
            for row in chunk.to_dict("records"):
                number += 1
                yield number, row
    except (pd.errors.ParserError, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"download.source: {table} cannot be read after row {number}: {error}") from None


def _decode(row: dict[str, str]) -> tuple[np.ndarray, str]:
    """The (48, 48) uint8 pixels of a row and "", or what is wrong with it."""
    none = np.empty(0, np.uint8)
    if row["usage"] not in USAGES:
        return none, f"Usage {row['usage']!r}; it is one of {', '.join(USAGES)}"
    if row["emotion"] not in map(str, range(len(EMOTIONS))):
        return none, f"emotion {row['emotion']!r}; it is a number from 0 to {len(EMOTIONS) - 1}"
    try:
        pixels = np.array(row["pixels"].split(), int)
    except (ValueError, OverflowError):
        return none, "its pixels are not all numbers"
    if pixels.size != SIDE * SIDE or pixels.min() < 0 or pixels.max() > 255:
        return none, f"{pixels.size} pixels; there are {SIDE * SIDE}, from 0 to 255"
    return pixels.astype(np.uint8).reshape(SIDE, SIDE), ""
