"""Make review/decisions.csv from the votes of FER+'s ten taggers, for the ablation on FER2013.

python -m benchmarks.fer_plus > review/decisions.csv

It needs data/textfree of a source with FER+'s table. A face is kept if no tag has more votes than its label,
relabelled if one other expression has the most, and rejected if contempt, unknown and "not a face" together
have the most. If other tags tie, there is no decision.
"""

import sys
from pathlib import Path

import pandas as pd

from fer_tasks.cleaning.decisions import COLUMNS
from fer_tasks.labels import VOTES
from fer_tasks.storage.dataset import read_dataset

REVIEWER = "ten taggers of FER+"


def decisions(faces: pd.DataFrame) -> pd.DataFrame:
    """A row of a decisions file for each face that the taggers decide on.

    `faces`: image_id, pixels, label, VOTES (0..1, or NaN).
    """
    faces = faces[faces[VOTES].notna().all(axis=1)]
    votes = faces[VOTES].rename(columns=lambda name: name.removeprefix("votes_"))
    most = votes.max(axis=1)
    winner, alone = votes.idxmax(axis=1), votes.eq(most, axis=0).sum(axis=1) == 1
    agreed = most == [votes.at[i, label] for i, label in faces["label"].items()]
    verdict = winner.map({"other": "reject"}).fillna("relabel").mask(agreed, "keep")
    rows = faces[["image_id", "pixels"]].assign(
        verdict=verdict,
        label=winner.where(verdict == "relabel", ""),
        reviewer=REVIEWER,
        time="2016",
        note=verdict.map({"reject": "for most none of the seven expressions, or no face"}).fillna(""),
    )
    return rows[agreed | alone][COLUMNS]


if __name__ == "__main__":
    decisions(read_dataset(Path("data/textfree")).manifest).to_csv(sys.stdout, index=False)
