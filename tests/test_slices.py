"""Accuracy by slices, by values computed by hand."""

import numpy as np
import pandas as pd
import pytest

from fer_tasks.evaluation.slices import (
    LARGEST,
    UNKNOWN,
    accuracy_by_slice,
    by_value,
    cut,
    largest_gaps,
    slices_of,
    thirds,
)


def counts(of_face: pd.Series) -> dict[str, int]:
    return of_face.value_counts(sort=False, dropna=False).to_dict()


def test_thirds_have_limits_that_their_names_tell():
    values = pd.Series(np.arange(1.0, 10))
    limits = thirds(values)
    assert limits == [3.67, 6.33]
    assert counts(cut(values, limits, " px")) == {"up to 3.67 px": 3, "3.67 to 6.33 px": 3, "over 6.33 px": 3}


@pytest.mark.parametrize(("n", "parts"), [(59, 3), (60, 2), (89, 2), (90, 3)])
def test_where_a_third_is_too_few_there_are_halves(n, parts):
    assert len(thirds(pd.Series(np.arange(n)))) == parts - 1


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([48.0, 48, 48], {"48": 3}),
        ([1.0, 1, 1, 1, 9], {"up to 1": 4, "over 1": 1}),
        ([np.nan, 5], {"5": 1, np.nan: 1}),
        ([np.nan, np.nan], {np.nan: 2}),
        ([], {}),
    ],
    ids=["all alike", "most alike", "one known", "none known", "none"],
)
def test_values_that_make_no_thirds(values, expected):
    values = pd.Series(values, dtype=float)
    assert str(counts(cut(values, thirds(values), ""))) == str(expected)


def test_a_slice_without_a_face_is_a_slice():
    assert counts(cut(pd.Series([0.1, 0.9, np.nan]), (0.2, 0.5), "°")) == {
        "up to 0.2°": 1,
        "0.2 to 0.5°": 0,
        "over 0.5°": 1,
        np.nan: 1,
    }


def test_values_of_groups_are_slices_in_their_order_and_unknown_ones_none():
    ages = pd.Series(["3-9", "10-19", "", None, "Unknown", "over 60", "3-9"])
    assert str(counts(by_value(ages))) == str({"3-9": 2, "10-19": 1, "over 60": 1, np.nan: 3})


def test_of_many_values_the_rare_ones_are_one_slice():
    values = [name for i in range(20) for name in [f"name {i:02}"] * (20 - i)]
    shown = counts(by_value(pd.Series([*values, "x" * 90])))
    assert len(shown) == LARGEST + 1 and shown["name 00"] == 20
    assert shown["13 other values"] == sum(range(1, 13)) + 1
    assert counts(by_value(pd.Series(["x" * 90]))) == {"x" * 40: 1}


def test_many_numbers_are_cut_at_thirds():
    ages = by_value(pd.Series([*map(str, range(1, 31)), ""]))
    assert str(counts(ages)) == str({"up to 10.7": 10, "10.7 to 20.3": 10, "over 20.3": 10, np.nan: 1})


def test_slices_of_faces_are_those_that_are_known():
    faces = pd.DataFrame({"label": ["sad", "fear"], "yaw": [-0.6, 0.1], "group_id": ["a", "b"]})
    slices = slices_of(faces.assign(group_skin_tone=["IV", ""]))
    names = ["expression", "face size", "light", "sharpness", "yaw", "roll", "covered", "group_skin_tone"]
    assert [*slices] == names
    assert slices["expression"].tolist() == ["sad", "fear"] and slices["yaw"].tolist()[0] == "over 0.5"
    assert slices["light"].isna().all() and len(slices["expression"].cat.categories) == 7
    assert str(counts(slices["group_skin_tone"])) == str({"IV": 1, np.nan: 1})


def table(**slices: tuple[int, int]) -> pd.DataFrame:
    """By slices of these numbers of right faces of all, the unknown ones last."""
    names = [name for name, (_, n) in slices.items() for _ in range(n)]
    right = [i < k for k, n in slices.values() for i in range(n)]
    known = [name for name in slices if name != UNKNOWN]
    named = [name if name in known else None for name in names]
    of_face = pd.Series(pd.Categorical(named, known, ordered=True))
    answered = np.array(right) | (np.array(names) == "b")
    return accuracy_by_slice({"age": of_face}, np.array(right), answered)


def test_accuracy_of_each_slice_with_its_interval_and_the_few_are_told():
    rows = table(a=(30, 40), b=(5, 10), empty=(0, 0), unknown=(30, 30)).set_index("slice")
    assert rows.loc["a", ["faces", "accuracy", "answered", "compared"]].tolist() == [40, 0.75, 0.75, True]
    assert rows.loc["a", ["low", "high"]].tolist() == pytest.approx([0.5981, 0.8581], abs=1e-4)
    assert rows.loc["b", ["faces", "accuracy", "answered", "compared"]].tolist() == [10, 0.5, 1, False]
    assert rows.loc["empty", "faces"] == 0 and np.isnan(rows.loc["empty", "accuracy"])
    assert rows.loc[UNKNOWN, ["faces", "compared"]].tolist() == [30, False]


def test_the_largest_gap_is_that_of_slices_with_enough_faces():
    gap = largest_gaps(table(a=(56, 70), b=(48, 80), few=(0, 29), unknown=(0, 40))).iloc[0]
    assert gap[["by", "slices", "worst", "best", "beyond_chance"]].tolist() == ["age", 2, "b", "a", True]
    # The example of Newcombe 1998, table II, (a), method 10.
    assert gap[["gap", "low", "high"]].tolist() == pytest.approx([0.2, 0.0524, 0.3339], abs=1e-4)


def test_the_more_pairs_the_wider_the_interval():
    two, three = (
        largest_gaps(table(a=(56, 70), b=(48, 80), **more)).iloc[0] for more in ({}, {"c": (52, 70)})
    )
    assert three["gap"] == two["gap"] and three["low"] < two["low"] and three["high"] > two["high"]


@pytest.mark.parametrize("slices", [{"a": (20, 40)}, {"a": (20, 40), "b": (1, 29)}, {"a": (1, 2)}])
def test_without_two_slices_there_is_no_gap(slices):
    gap = largest_gaps(table(**slices)).iloc[0]
    assert gap["slices"] == sum(n >= 30 for _, n in slices.values()) and gap["worst"] == gap["best"] == ""
    assert np.isnan(gap["gap"]) and not gap["beyond_chance"]
