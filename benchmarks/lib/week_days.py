"""The seven changes of a week: what comes into the source of a project, and what reviewers decide."""

import csv
import shutil
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple

import pandas as pd

from fer_tasks.cleaning.decisions import COLUMNS
from fer_tasks.labels import EXPRESSIONS
from fer_tasks.sources.folder import list_pictures
from fer_tasks.storage.files import read_table

FIRST = ("happy", "neutral", "sad")  # expressions that come on the first day
LATER = tuple(name for name in EXPRESSIONS if name not in FIRST)
EACH = 30  # photos of an expression that come first
MORE = 20  # photos of each that come on the fifth day
DOUBTED = 15  # faces that reviewers reject on the third day
MIXED_UP = ("surprise", "angry")  # what a reviewer calls each other on the sixth
TESTED = 5  # without a test split every fifth photo is a test photo


class Day(NamedTuple):
    """A change of the data."""

    what: str
    change: Callable[[], None]
    promoted: bool | None = None  # what the gate has to say; None: what its figures say
    fault: Literal["", "crash", "reboot"] = ""  # in the middle of the build


def seven_days(project: Path, photos: Path) -> list[Day]:
    """The days of a project without photos, which come out of a folder of class folders."""
    pictures = list_pictures(photos).pictures.sort_values("source", ignore_index=True)
    pictures["nth"] = pictures.groupby(["label", "source_split"]).cumcount()
    if "test" not in set(pictures["source_split"]):
        pictures["source_split"] = ["train" if nth % TESTED else "test" for nth in pictures["nth"]]
    tested = pictures["source_split"] == "test"
    test, train = pictures[tested], pictures[~tested]
    nth = train.groupby("label").cumcount()
    early, later, last = nth < EACH, (nth >= EACH) & (nth < EACH + MORE), nth >= EACH + MORE
    first = train["label"].isin(FIRST)

    def all_day_one() -> None:
        copy(project, test, "test")
        copy(project, train[early & first], "train")

    def put_right_and_more() -> None:
        exchange_folders(project, "happy", "sad")
        copy(project, train[later], "train")

    def take_back_and_more() -> None:
        withdraw(project, "robin")
        copy(project, train[last], "train")

    return [
        Day(f"the first photos: {', '.join(FIRST)}, and test photos of all", all_day_one, True),
        Day(f"photos of {', '.join(LATER)}", lambda: copy(project, train[early & ~first], "train"), True),
        Day("a reviewer rejects doubted faces", lambda: reject_doubted(project), None, "reboot"),
        Day("somebody mixes up two folders", lambda: exchange_folders(project, "happy", "sad"), False),
        Day("the folders are put right, and more photos", put_right_and_more, None, "crash"),
        Day("a reviewer mixes up two expressions", lambda: mix_up(project, *MIXED_UP), False),
        Day("that reviewer takes it back, and the last photos", take_back_and_more),
    ]


def copy(project: Path, pictures: pd.DataFrame, split: str) -> None:
    """Copy photos into the source."""
    for place, label, path in zip(pictures.index, pictures["label"], pictures["path"], strict=True):
        target = project / "photos" / split / label / f"{place:05d}-{Path(path).name}"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def exchange_folders(project: Path, one: str, other: str) -> None:
    """Give two class folders of training photos each other's name."""
    train = project / "photos" / "train"
    (train / one).rename(train / "away")
    (train / other).rename(train / one)
    (train / "away").rename(train / other)


def reject_doubted(project: Path) -> None:
    """A reviewer rejects training faces that the rules doubt and keep."""
    doubted = read_table(project / "data" / "clean" / "doubts.csv")["image_id"]
    faces = _learnt(project)
    rejected = faces[faces["image_id"].isin(doubted)].head(DOUBTED)
    if rejected.empty:
        raise SystemExit("no training face is doubted: take other photos")
    decide(project, "kim", (("reject", "", face) for face in rejected.itertuples()))


def mix_up(project: Path, one: str, other: str) -> None:
    """A reviewer takes each of two expressions for the other, in all training faces."""
    meant = {one: other, other: one}
    faces = _learnt(project)
    wrong = faces[faces["label"].isin(meant)]
    decide(project, "robin", (("relabel", meant[face.label], face) for face in wrong.itertuples()))


def withdraw(project: Path, reviewer: str) -> None:
    """A reviewer takes all decisions back."""
    decisions = read_table(project / "review" / "decisions.csv")
    own = decisions[decisions["reviewer"] == reviewer]
    decide(project, reviewer, (("withdraw", "", face) for face in own.itertuples()))


def decide(project: Path, reviewer: str, decisions: Iterable[tuple]) -> None:
    """Append decisions, (verdict, label, face), as the review page does."""
    time = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    with (project / "review" / "decisions.csv").open("a", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
        for verdict, label, face in decisions:
            row = {"image_id": face.image_id, "pixels": face.pixels, "verdict": verdict, "label": label}
            table.writerow({**row, "reviewer": reviewer, "time": time})


def _learnt(project: Path) -> pd.DataFrame:
    """The clean faces that are not of the test split."""
    faces = read_table(project / "data" / "clean" / "manifest.csv")
    return faces[faces["split"] != "test"]
