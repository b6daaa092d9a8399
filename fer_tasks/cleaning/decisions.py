"""People's decisions on faces: review/decisions.csv, a row for each decision, append-only."""

import csv
import io
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import pandas as pd

from fer_tasks.errors import UserError
from fer_tasks.labels import EXPRESSIONS, REJECTED_BY_PERSON, expression_of

COLUMNS = ["image_id", "pixels", "verdict", "label", "reviewer", "time", "note"]
VERDICTS = ("keep", "reject", "relabel", "withdraw")  # withdraw undoes the reviewer's previous decision
FACE_ID = re.compile(r"[0-9a-f]{16}-\d+")


class BadDecisions(UserError):
    """A decisions file cannot be parsed; none of it is applied."""


class Applied(NamedTuple):
    """The faces after the decisions, and the decisions that were not applied."""

    faces: pd.DataFrame  # without rejected ones; `label` as decided, `reviewer` who decided, or ""
    rejected: pd.DataFrame  # image_id, reason, detail
    stale: pd.DataFrame  # decisions on faces whose pixels have changed since
    unknown: pd.DataFrame  # decisions on faces that do not exist
    disputed: pd.DataFrame  # decisions of reviewers who disagree


def parse_decisions(text: str, name: str = "review/decisions.csv") -> pd.DataFrame:
    """Parse a decisions file: COLUMNS as text, and `line`, the number of the line that a row ends on.

    Raises:
        BadDecisions: a column is missing, a row is truncated or repeated, an id, verdict or label is invalid,
            the reviewer is empty, or a withdrawal has nothing to withdraw; the message names file and line.
    """
    lines = csv.reader(io.StringIO(text), strict=True)
    rows: list[list[str]] = []
    seen: dict[tuple[str, ...], int] = {}
    try:
        header = next(lines, [])
        if header != COLUMNS:
            missing = [column for column in COLUMNS if column not in header]
            fault = f"columns missing: {', '.join(missing)}" if missing else f"columns {', '.join(header)}"
            raise BadDecisions(f"{name}: line 1: {fault}; it must read {','.join(COLUMNS)}")
        for row in lines:
            if row:
                where = f"{name}: line {lines.line_num}"
                _check(row, seen, where)
                seen[tuple(row)] = lines.line_num
                rows.append(row)
    except csv.Error as error:
        raise BadDecisions(f"{name}: line {lines.line_num}: {error}; fix or delete the line") from None
    table = pd.DataFrame(rows, columns=COLUMNS, dtype=str).assign(line=list(seen.values()))
    _check_withdrawals(table, name)
    return table


def _check(row: list[str], seen: Mapping[tuple[str, ...], int], where: str) -> None:
    if len(row) != len(COLUMNS):
        raise BadDecisions(f"{where}: {len(row)} fields, not {len(COLUMNS)}; fix or delete the line")
    if tuple(row) in seen:
        raise BadDecisions(f"{where}: the same as line {seen[tuple(row)]}; delete one of them")
    values = dict(zip(COLUMNS, row, strict=True))
    if not FACE_ID.fullmatch(values["image_id"]):
        raise BadDecisions(
            f"{where}: {values['image_id']!r} is not a face id; see data/textfree/manifest.csv"
        )
    if values["verdict"] not in VERDICTS:
        raise BadDecisions(
            f"{where}: unknown verdict {values['verdict']!r}; choose one of {', '.join(VERDICTS)}"
        )
    if values["verdict"] == "relabel" and not expression_of(values["label"]):
        raise BadDecisions(
            f"{where}: unknown label {values['label']!r}; choose one of {', '.join(EXPRESSIONS)}"
        )
    if not values["reviewer"]:
        raise BadDecisions(f"{where}: reviewer is empty; write who decided")


def _check_withdrawals(decisions: pd.DataFrame, name: str) -> None:
    standing: dict[tuple[str, str, str], int] = {}
    for row in decisions.itertuples():
        who = (row.image_id, row.pixels, row.reviewer)
        standing[who] = standing.get(who, 0) + (-1 if row.verdict == "withdraw" else 1)
        if standing[who] < 0:
            where = f"{name}: line {row.line}"
            raise BadDecisions(f"{where}: {row.reviewer} has no decision on {row.image_id} to withdraw")


def standing(rows: Iterable[Mapping[str, str]]) -> list[Mapping[str, str]]:
    """The decisions on one face that are in force, at most one for each reviewer.

    `rows`: all decisions on the face, in the order they were written. A reviewer's later decision replaces
    the earlier one; a withdrawal restores the earlier one. If reviewers disagree, the face is disputed until
    one more decision, by anyone, settles it; then only that one is in force.
    """
    decisions: list[Mapping[str, str]] = []
    for row in rows:
        if row["verdict"] == "withdraw":
            last = max(i for i, other in enumerate(decisions) if other["reviewer"] == row["reviewer"])
            del decisions[last]
        else:
            decisions.append(row)
    stands: dict[str, Mapping[str, str]] = {}
    for row in decisions:
        if is_disputed(stands.values()):
            stands = {}
        stands[row["reviewer"]] = row
    return list(stands.values())


def is_disputed(stands: Iterable[Mapping[str, str]]) -> bool:
    """Whether the decisions in force, those of `standing`, disagree."""
    return len({(row["verdict"], expression_of(row["label"])) for row in stands}) > 1


def apply_decisions(faces: pd.DataFrame, decisions: pd.DataFrame) -> Applied:
    """Apply decisions, as `parse_decisions` returns them, to the faces with the same image_id and pixels.

    `faces`: image_id, pixels, label and any other columns.
    """
    pixels = decisions["image_id"].map(faces.set_index("image_id")["pixels"])
    unknown, stale = decisions[pixels.isna()], decisions[pixels.notna() & (pixels != decisions["pixels"])]
    decided, disputed = [], []
    for _, rows in decisions[pixels == decisions["pixels"]].groupby("image_id", sort=False):
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
        dropped[["image_id"]].assign(reason=REJECTED_BY_PERSON, detail=_detail(dropped)),
        stale,
        unknown,
        pd.DataFrame(disputed, columns=decisions.columns),
    )


def _detail(dropped: pd.DataFrame) -> pd.Series:
    return dropped["note"].mask(dropped["note"] == "", "no reason given") + ", by " + dropped["reviewer"]
