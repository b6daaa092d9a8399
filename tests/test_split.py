"""Splits by group: stable, without a leak, and nothing lost."""

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from fer_tasks.cleaning.split import assign_splits

GROUPS = st.lists(
    st.tuples(st.integers(0, 30), st.sampled_from(["", "train", "val", "test"])), min_size=1, max_size=60
)


def faces(rows: list[tuple[int, str]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["group_id", "source_split"]).astype({"group_id": str})
    return table.assign(image_id=[f"{i:03}" for i in range(len(table))])


@given(GROUPS)
def test_no_group_is_in_two_splits_and_nothing_is_lost(rows):
    table = faces(rows)
    kept, rejected = assign_splits(table, 0.2, 0.15)
    assert (kept.groupby("group_id")["split"].nunique() == 1).all()
    assert sorted([*kept["image_id"], *rejected["image_id"]]) == sorted(table["image_id"])


@given(GROUPS)
def test_the_test_split_of_the_source_is_kept_whole(rows):
    table = faces(rows)
    kept, _ = assign_splits(table, 0.2, 0.15)
    given_test = set(table[table["source_split"] == "test"]["image_id"])
    if given_test:
        assert set(kept[kept["split"] == "test"]["image_id"]) == given_test


@given(st.lists(st.integers(0, 500), unique=True, max_size=60), st.integers(501, 999))
def test_unrelated_pictures_move_none_of_the_old_ones(groups, new):
    before, _ = assign_splits(faces([(g, "") for g in groups]), 0.2, 0.15)
    after, _ = assign_splits(faces([(g, "") for g in [*groups, new]]), 0.2, 0.15)
    assert after["split"][: len(groups)].tolist() == before["split"].tolist()


def test_copies_of_test_and_validation_pictures_are_set_aside_by_name():
    kept, rejected = assign_splits(
        faces([(1, "train"), (1, "test"), (2, "train"), (2, "val"), (3, "train")]), 0.2, 0.1
    )
    assert rejected[["image_id", "reason", "detail"]].to_numpy().tolist() == [
        ["000", "copy_in_test", "near-copy of 001"],
        ["002", "copy_in_val", "near-copy of 003"],
    ]
    assert kept.set_index("image_id")["split"].to_dict() == {"001": "test", "003": "val", "004": "train"}


def test_shares_are_about_those_asked_for():
    kept, _ = assign_splits(faces([(g, "") for g in range(4000)]), 0.2, 0.15)
    share = kept["split"].value_counts(normalize=True)
    assert abs(share["test"] - 0.2) < 0.02 and abs(share["val"] - 0.8 * 0.15) < 0.02
