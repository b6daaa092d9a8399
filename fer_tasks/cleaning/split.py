"""Train, validation and test: by group, so that no copy of a test picture is trained on."""

import hashlib

import pandas as pd

SPLITS = ("test", "val", "train")  # of a group that the source has in several, the first of these keeps it


def assign_splits(
    faces: pd.DataFrame, test_share: float, val_share: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give every face a split; `faces` has image_id, group_id and source_split ("", "train", "val" or
    "test").

    Where the source has a test (or validation) split it is kept; else `test_share` of all groups (`val_share`
    of the train groups) is drawn by a hash of the group's id: pictures that are added move none of the old
    ones. Copies of test pictures in train or validation, and of validation pictures in train, are rejected.
    Returns (faces with `split`, rejected: image_id, reason, detail).
    """
    given = faces["source_split"].where(faces["source_split"] != "", "train")
    rank = given.map(SPLITS.index)
    first = rank.groupby(faces["group_id"]).transform("min")
    leaks = rank > first
    keeper = faces["image_id"].where(~leaks).groupby(faces["group_id"]).transform("first").astype(str)
    rejected = pd.DataFrame(
        {
            "image_id": faces["image_id"],
            "reason": "copy_in_" + first.map(SPLITS.__getitem__),
            "detail": "near-copy of " + keeper,
        }
    )[leaks]
    split = given
    if "test" not in set(given):
        split = split.mask(faces["group_id"].map(lambda group: _drawn(group, "test", test_share)), "test")
    if "val" not in set(given):
        drawn = faces["group_id"].map(lambda group: _drawn(group, "val", val_share))
        split = split.mask(drawn & (split == "train"), "val")
    return faces.assign(split=split)[~leaks], rejected


def _drawn(group: str, salt: str, share: float) -> bool:
    digest = hashlib.sha256(f"{salt} {group}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64 < share
