"""What people said of faces: review/decisions.csv, a row a decision, only ever appended to."""

import csv
import io
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import pandas as pd

from fer_tasks.errors import UserError
from fer_tasks.labels import EXPRESSIONS, REJECTED_BY_PERSON, expression_of

COLUMNS = ["image_id", "pixels", "verdict", "label", "reviewer", "time", "note"]
VERDICTS = ("keep", "reject", "relabel", "withdraw")  # the last takes back a reviewer's word before it
FACE_ID = re.compile(r"[0-9a-f]{16}-\d+")


class BadDecisions(UserError):
    """A decisions file cannot be understood; nothing of it is applied."""


class Applied(NamedTuple):
    """What the decisions make of the faces; the last three are rows that were not applied."""

    faces: pd.DataFrame  # without the rejected ones; `label` as decided, `reviewer` who said so or ""
    rejected: pd.DataFrame  # image_id, reason, detail
    stale: pd.DataFrame  # the face's pixels have changed since
    unknown: pd.DataFrame  # no such face
    disputed: pd.DataFrame  # reviewers differ, and nobody has settled it


def parse_decisions(text: str, name: str = "review/decisions.csv") -> pd.DataFrame:
    """The rows of a decisions file, text in all COLUMNS, and `line`, the line of the file they end on.

    Raises BadDecisions, naming the file and the line, for a missing column, a row that is cut off, an id that
    is none, an unknown verdict or label, a reviewer without a name, a row that is there twice, and a
    withdrawal of nothing.
    """
    lines = csv.reader(io.StringIO(text), strict=True)
    rows: list[list[str]] = []
    seen: dict[tuple[str, ...], int] = {}
    try:
        header = next(lines, [])
        if header != COLUMNS:
            missing = [column for column in COLUMNS if column not in header]
            what = f"columns missing: {', '.join(missing)}" if missing else f"columns {', '.join(header)}"
            raise BadDecisions(f"{name}: line 1: {what}; it reads {','.join(COLUMNS)}")
        for row in lines:
            if row:
                where = f"{name}: line {lines.line_num}"
                _check(row, seen, where)
                seen[tuple(row)] = lines.line_num
                rows.append(row)
    except csv.Error as error:
        raise BadDecisions(f"{name}: line {lines.line_num}: {error}; mend or delete the line") from None
    table = pd.DataFrame(rows, columns=COLUMNS, dtype=str).assign(line=list(seen.values()))
    _check_withdrawals(table, name)
    return table


def _check(row: list[str], seen: Mapping[tuple[str, ...], int], where: str) -> None:
    if len(row) != len(COLUMNS):
        raise BadDecisions(f"{where}: {len(row)} fields, not {len(COLUMNS)}; mend or delete the line")
    if tuple(row) in seen:
        raise BadDecisions(f"{where}: the same as line {seen[tuple(row)]}; delete one of them")
    said = dict(zip(COLUMNS, row, strict=True))
    if not FACE_ID.fullmatch(said["image_id"]):
        raise BadDecisions(f"{where}: image_id {said['image_id']!r} is none; see data/textfree/manifest.csv")
    if said["verdict"] not in VERDICTS:
        raise BadDecisions(f"{where}: verdict {said['verdict']!r}; it is one of {', '.join(VERDICTS)}")
    if said["verdict"] == "relabel" and not expression_of(said["label"]):
        raise BadDecisions(f"{where}: label {said['label']!r}; it is one of {', '.join(EXPRESSIONS)}")
    if not said["reviewer"]:
        raise BadDecisions(f"{where}: reviewer is empty; write who says so")


def _check_withdrawals(decisions: pd.DataFrame, name: str) -> None:
    said: dict[tuple[str, str, str], int] = {}
    for row in decisions.itertuples():
        who = (row.image_id, row.pixels, row.reviewer)
        said[who] = said.get(who, 0) + (-1 if row.verdict == "withdraw" else 1)
        if said[who] < 0:
            raise BadDecisions(f"{name}: line {row.line}: {row.reviewer} has said nothing of {row.image_id}")


def standing(rows: Iterable[Mapping[str, str]]) -> list[Mapping[str, str]]:
    """Of the rows about one face, in the order they were written, those that stand: one of each reviewer.

    A reviewer's later word replaces the earlier one, a withdrawal brings that back. Where reviewers differ
    the face is disputed, until one more word, of anyone, settles it: then that stands alone.
    """
    said: list[Mapping[str, str]] = []
    for row in rows:
        if row["verdict"] == "withdraw":
            last = max(i for i, other in enumerate(said) if other["reviewer"] == row["reviewer"])
            del said[last]
        else:
            said.append(row)
    stands: dict[str, Mapping[str, str]] = {}
    for row in said:
        if is_disputed(stands.values()):
            stands = {}
        stands[row["reviewer"]] = row
    return list(stands.values())


def is_disputed(stands: Iterable[Mapping[str, str]]) -> bool:
    """Do the words that stand differ?"""
    return len({(row["verdict"], expression_of(row["label"])) for row in stands}) > 1


def apply_decisions(faces: pd.DataFrame, decisions: pd.DataFrame) -> Applied:
    """Apply `parse_decisions`' rows to the faces with the same `image_id` and the same `pixels`.

    `faces`: image_id, pixels, label and any others.
    """
    now = decisions["image_id"].map(faces.set_index("image_id")["pixels"])
    unknown, stale = decisions[now.isna()], decisions[now.notna() & (now != decisions["pixels"])]
    decided, disputed = [], []
    for _, rows in decisions[now == decisions["pixels"]].groupby("image_id", sort=False):
        stands = standing(rows.to_dict("records"))
        (disputed if is_disputed(stands) else decided).extend(stands)
    last = pd.DataFrame(decided, columns=decisions.columns).drop_duplicates("image_id", keep="last")
    dropped, relabelled = last[last["verdict"] == "reject"], last[last["verdict"] == "relabel"]
    labels = dict(zip(relabelled["image_id"], relabelled["label"].map(expression_of), strict=True))
    reviewers = dict(zip(last["image_id"], last["reviewer"], strict=True))
    kept = faces.assign(
        label=[labels.get(i, label) for i, label in zip(faces["image_id"], faces["label"], strict=True)],
        reviewer=[reviewers.get(i, "") for i in faces["image_id"]],
    )
    return Applied(
        kept[~faces["image_id"].isin(dropped["image_id"])],
        dropped[["image_id"]].assign(reason=REJECTED_BY_PERSON, detail=_told(dropped)),
        stale,
        unknown,
        pd.DataFrame(disputed, columns=decisions.columns),
    )


def _told(dropped: pd.DataFrame) -> pd.Series:
    return dropped["note"].mask(dropped["note"] == "", "no reason given") + ", by " + dropped["reviewer"]
