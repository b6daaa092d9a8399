"""Splits by group: stable, without a leak, and nothing lost."""

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from fer_tasks.cleaning.split import assign_splits, leaks

GROUPS = st.lists(
    st.tuples(st.integers(0, 30), st.sampled_from(["", "train", "val", "test"])), min_size=1, max_size=60
)


def faces(rows: list[tuple[int, str]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["group_id", "source_split"]).astype({"group_id": str})
    table = table.assign(image_id=[f"{i:03}" for i in range(len(table))])
    return table.assign(split=assign_splits(table, 0.2, 0.15))


@given(GROUPS)
def test_without_its_leaks_no_group_is_in_two_splits(rows):
    table = faces(rows)
    kept = table[~table["image_id"].isin(leaks(table)["image_id"])]
    assert (kept.groupby("group_id")["split"].nunique() == 1).all()
    assert set(kept["group_id"]) == set(table["group_id"])


@given(GROUPS)
def test_the_test_split_of_the_source_is_kept_whole(rows):
    table = faces(rows)
    given_test = table["source_split"] == "test"
    if given_test.any():
        assert ((table["split"] == "test") == given_test).all()
        assert not set(leaks(table)["image_id"]) & set(table[given_test]["image_id"])


@given(st.lists(st.integers(0, 500), unique=True, max_size=60), st.integers(501, 999))
def test_unrelated_pictures_move_none_of_the_old_ones(groups, new):
    before, after = faces([(g, "") for g in groups]), faces([(g, "") for g in [*groups, new]])
    assert after["split"][: len(groups)].tolist() == before["split"].tolist()


def test_copies_of_test_and_validation_pictures_are_named():
    table = faces([(1, "train"), (1, "test"), (2, "train"), (2, "val"), (3, "train")])
    found = leaks(table)
    assert found[["image_id", "rule", "other", "detail"]].to_numpy().tolist() == [
        ["000", "leak", "001", "near-copy of 001, which is in test"],
        ["002", "leak", "003", "near-copy of 003, which is in val"],
    ]
    assert table["split"].tolist() == ["train", "test", "train", "val", "train"]


def test_shares_are_about_those_asked_for():
    share = faces([(g, "") for g in range(4000)])["split"].value_counts(normalize=True)
    assert abs(share["test"] - 0.2) < 0.02 and abs(share["val"] - 0.8 * 0.15) < 0.02
