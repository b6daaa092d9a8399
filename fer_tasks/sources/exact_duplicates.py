"""Repeated files in a source: keep one of them, or none if their labels differ."""

import pandas as pd


def split_exact_duplicates(pictures: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Separate repeated files from the others: (kept, rejected).

    `pictures`: image_id (equal for equal bytes), source, label, source_split. Of equal files with the same
    label one is kept, preferably in test, then in val; the others are rejected as `duplicate_file`. Equal
    files with different labels are all rejected as `conflicting_labels`, since no label can be trusted.
    Rejected rows have image_id, source, reason, detail.
    """
    rank = pictures["source_split"].map({"test": 0, "val": 1}).fillna(2)
    pictures = (
        pictures.assign(rank=rank).sort_values(["rank", "source"], ignore_index=True).drop(columns="rank")
    )
    files = pictures.groupby("image_id")
    first = files["source"].transform("first")
    conflict = files["label"].transform("nunique") > 1
    repeated = ~conflict & (files.cumcount() > 0)
    labels = "same file under " + files["label"].transform(lambda label: ", ".join(sorted(set(label))))
    reasons = pd.concat(
        [
            pictures[conflict].assign(reason="conflicting_labels", detail=labels[conflict]),
            pictures[repeated].assign(reason="duplicate_file", detail="same file as " + first[repeated]),
        ]
    )
    return pictures[~conflict & ~repeated], reasons[["image_id", "source", "reason", "detail"]]
