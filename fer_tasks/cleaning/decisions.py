"""What people said of pictures: review/decisions.csv, a row a decision, appended to."""

from typing import NamedTuple

import pandas as pd

from fer_tasks.errors import UserError
from fer_tasks.labels import EXPRESSIONS, expression_of

COLUMNS = ["image_id", "pixels", "verdict", "label", "reviewer", "time", "note"]
VERDICTS = ("keep", "reject", "relabel")


class BadDecisions(UserError):
    """review/decisions.csv holds a row that cannot be understood; nothing of it is applied."""


class Applied(NamedTuple):
    """What the decisions make of the faces."""

    faces: pd.DataFrame  # without the rejected ones; `label` as decided, `reviewer` who said so or ""
    rejected: pd.DataFrame  # image_id, reason, detail
    stale: list[str]  # ids whose pixels have changed since: not applied
    unknown: list[str]  # ids that are not among the faces


def check_decisions(decisions: pd.DataFrame) -> None:
    """Check the table, text in all columns. Raises BadDecisions with the line of the file."""
    missing = [name for name in COLUMNS if name not in decisions.columns]
    if missing:
        raise BadDecisions(f"review/decisions.csv: line 1: columns missing: {', '.join(missing)}")
    for line, row in enumerate(decisions.itertuples(), start=2):
        where = f"review/decisions.csv: line {line}"
        if row.verdict not in VERDICTS:
            raise BadDecisions(f"{where}: verdict {row.verdict!r}; it is one of {', '.join(VERDICTS)}")
        if row.verdict == "relabel" and not expression_of(row.label):
            raise BadDecisions(f"{where}: label {row.label!r}; it is one of {', '.join(EXPRESSIONS)}")


def apply_decisions(faces: pd.DataFrame, decisions: pd.DataFrame) -> Applied:
    """Apply checked decisions to the faces with the same `image_id` and the same `pixels`; of several for one
    picture the last row counts."""
    last = decisions.drop_duplicates("image_id", keep="last")
    both = last.merge(faces[["image_id", "pixels"]], on="image_id", how="left", suffixes=("", "_now"))
    unknown = both[both["pixels_now"].isna()]["image_id"].tolist()
    stale = both[both["pixels_now"].notna() & (both["pixels"] != both["pixels_now"])]["image_id"].tolist()
    valid = both[both["pixels"] == both["pixels_now"]].set_index("image_id")
    reviewers = valid["reviewer"].to_dict()
    relabelled = valid[valid["verdict"] == "relabel"]["label"].map(expression_of).to_dict()
    label = [relabelled.get(i, label) for i, label in zip(faces["image_id"], faces["label"], strict=True)]
    dropped = valid[valid["verdict"] == "reject"]
    detail = dropped["note"].where(dropped["note"] != "", "by " + dropped["reviewer"])
    rejected = pd.DataFrame({"image_id": dropped.index, "reason": "rejected_by_person", "detail": detail})
    kept = faces.assign(label=label, reviewer=[reviewers.get(i, "") for i in faces["image_id"]])
    kept = kept[~faces["image_id"].isin(dropped.index)]
    return Applied(kept, rejected.reset_index(drop=True), stale, unknown)
