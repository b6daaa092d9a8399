"""Figures by hand, and the interval that an accuracy deserves."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_tasks.evaluation import accuracy_interval, confusion, per_class, scores

Y = np.array([0, 0, 1, 3])
P = np.full((4, 7), 0.05)
P[[0, 1, 2, 3], [0, 1, 1, 3]] = 0.7


def test_scores_by_hand():
    found = scores(Y, P)
    assert found["accuracy"] == 0.75
    assert found["loss"] == pytest.approx(-(3 * np.log(0.7) + np.log(0.05)) / 4)
    assert found["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3), "over the three classes that occur"


def test_per_class_by_hand_and_without_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = per_class(Y, P).set_index("expression")
    assert table.loc["angry", ["n", "precision", "recall"]].tolist() == [2, 1.0, 0.5]
    assert table.loc["disgust", ["n", "precision", "recall"]].tolist() == [1, 0.5, 1.0]
    assert table.loc["sad", "n"] == 0 and table.loc["sad", ["precision", "recall", "f1"]].isna().all()


def test_confusion_has_the_truth_in_its_rows():
    counts = confusion(Y, P)
    assert counts.shape == (7, 7) and counts.sum() == 4
    assert counts[0].tolist() == [1, 1, 0, 0, 0, 0, 0]


@pytest.mark.parametrize(("y", "p"), [(Y[:0], P[:0]), (Y, P[:3]), (Y, P[:, :5])])
def test_other_shapes_are_refused(y, p):
    for function in (scores, per_class, confusion):
        with pytest.raises(ValueError, match="probabilities"):
            function(y, p)


def test_the_interval_is_that_of_resampled_pictures():
    right = np.arange(200) < 120
    rng = np.random.default_rng(5)
    means = [rng.choice(right, 200).mean() for _ in range(4000)]
    assert accuracy_interval(right, 4000, 0) == pytest.approx(np.percentile(means, [2.5, 97.5]), abs=0.011)
    assert accuracy_interval(right, 1000, 7) == accuracy_interval(right, 1000, 7)


@given(st.lists(st.booleans(), min_size=1, max_size=80))
def test_the_interval_holds_the_accuracy(right):
    low, high = accuracy_interval(np.array(right), 500, 0)
    assert 0 <= low <= np.mean(right) <= high <= 1


def test_no_picture_no_interval():
    with pytest.raises(ValueError, match="at least one"):
        accuracy_interval(np.array([], bool), 100, 0)
