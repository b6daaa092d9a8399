"""The same file twice in a source: one is enough, and under two labels none can be trusted."""

import pandas as pd


def split_exact_duplicates(pictures: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Part pictures by the content of their files; columns `image_id` (of the bytes), `source`, `label`,
    `source_split`.

    Returns (kept, rejected): of equal files with one label one is kept, of the test split before validation
    and train, the others are `duplicate_file`; all of equal files with several labels are
    `conflicting_labels`. Rejected rows have image_id, source, reason, detail.
    """
    rank = pictures["source_split"].map({"test": 0, "val": 1}).fillna(2)
    pictures = (
        pictures.assign(rank=rank).sort_values(["rank", "source"], ignore_index=True).drop(columns="rank")
    )
    files = pictures.groupby("image_id")
    first = files["source"].transform("first")
    conflict = files["label"].transform("nunique") > 1
    double = ~conflict & (files.cumcount() > 0)
    labels = "same file under " + files["label"].transform(lambda label: ", ".join(sorted(set(label))))
    reasons = pd.concat(
        [
            pictures[conflict].assign(reason="conflicting_labels", detail=labels[conflict]),
            pictures[double].assign(reason="duplicate_file", detail="same file as " + first[double]),
        ]
    )
    return pictures[~conflict & ~double], reasons[["image_id", "source", "reason", "detail"]]
