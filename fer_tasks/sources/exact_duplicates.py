"""Repeated files in a source: keep one; under several labels, none can be trusted."""

import pandas as pd


def split_exact_duplicates(pictures: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Separate repeated files by their content; columns `image_id` (of the bytes), `source`, `label`,
    `source_split`.

    Returns (kept, rejected). Of equal files with one label, one is kept, in the order test, val, train;
    the others are rejected as `duplicate_file`. Equal files with several labels are all rejected as
    `conflicting_labels`. Rejected rows have image_id, source, reason, detail.
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
