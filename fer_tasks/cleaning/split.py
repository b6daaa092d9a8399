"""Assign training, validation and test splits by group, so that no copy of a test picture is trained on."""

import hashlib

import pandas as pd

from fer_tasks.cleaning.rules import COLUMNS
from fer_tasks.labels import LEAK, SPLITS

PRECEDENCE = SPLITS[::-1]  # a group with faces in several splits belongs to the first of these


def assign_splits(faces: pd.DataFrame, test_share: float, val_share: float) -> pd.Series:
    """The split of each face, "train", "val" or "test", in the order of `faces`.

    `faces`: group_id, source_split ("", "train", "val" or "test"). If the source has a test (or validation)
    split, it is kept. Otherwise `test_share` of all groups (or `val_share` of the training groups) is drawn,
    by a hash of the group's id, so that new pictures do not move old ones. Only the source's own splits can
    divide a group: see `leaks`.
    """
    given = faces["source_split"].where(faces["source_split"] != "", "train")
    split = given
    if "test" not in set(given):
        split = split.mask(faces["group_id"].map(lambda group: _drawn(group, "test", test_share)), "test")
    if "val" not in set(given):
        drawn = faces["group_id"].map(lambda group: _drawn(group, "val", val_share))
        split = split.mask(drawn & (split == "train"), "val")
    return split


def leaks(faces: pd.DataFrame) -> pd.DataFrame:
    """Doubts about leaks: copies of test faces in training or validation, and of validation faces in
    training. `faces`: image_id, group_id, split. Returns `rules.COLUMNS`."""
    rank = faces["split"].map(PRECEDENCE.index)
    first = rank.groupby(faces["group_id"]).transform("min")
    leak = rank > first
    keeper = faces["image_id"].where(~leak).groupby(faces["group_id"]).transform("first").astype(str)
    where = first.map(PRECEDENCE.__getitem__)
    doubts = pd.DataFrame(
        {
            "image_id": faces["image_id"],
            "rule": LEAK,
            "value": float("nan"),
            "threshold": float("nan"),
            "score": 1.0,
            "suggestion": "",
            "other": keeper,
            "detail": "near-copy of " + keeper + ", which is in " + where,
        },
        columns=COLUMNS,
    )
    return doubts[leak]


def _drawn(group: str, salt: str, share: float) -> bool:
    digest = hashlib.sha256(f"{salt} {group}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64 < share
