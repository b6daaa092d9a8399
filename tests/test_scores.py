"""Figures by hand, and the interval that an accuracy deserves."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from fer_tasks.evaluation.scores import (
    accuracy_interval,
    confusion,
    expected_calibration_error,
    per_class,
    reliability,
    scores,
)
from fer_tasks.evaluation.wilson import wilson_interval

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
    for function in (scores, per_class, confusion, reliability, expected_calibration_error):
        with pytest.raises(ValueError, match="probabilities"):
            function(y, p)


def test_the_interval_is_that_of_resampled_pictures():
    right = np.arange(200) < 120
    rng = np.random.default_rng(5)
    means = [rng.choice(right, 200).mean() for _ in range(4000)]
    assert accuracy_interval(right) == pytest.approx(np.percentile(means, [2.5, 97.5]), abs=0.011)


def test_the_interval_has_a_width_where_all_or_none_are_right():
    """By hand: z² / (n + z²) with z = 1.96, of 12 pictures."""
    assert accuracy_interval(np.ones(12, bool)) == pytest.approx((0.7575, 1), abs=1e-4)
    assert accuracy_interval(np.zeros(12, bool)) == pytest.approx((0, 0.2425), abs=1e-4)
    assert accuracy_interval(np.arange(10) < 8) == pytest.approx((0.4902, 0.9433), abs=1e-4)


@pytest.mark.parametrize("n", [1, 2, 30, 3474])
def test_the_interval_is_that_of_scipy(n):
    for k in range(0, n + 1, max(1, n // 30)):
        expected = binomtest(k, n).proportion_ci(method="wilson")
        assert wilson_interval(k, n) == pytest.approx((expected.low, expected.high), abs=1e-12)
        wide = binomtest(k, n).proportion_ci(0.99, method="wilson")
        assert wilson_interval(k, n, 2.5758293035489) == pytest.approx((wide.low, wide.high), abs=1e-12)


@given(st.lists(st.booleans(), min_size=1, max_size=80))
def test_the_interval_holds_the_accuracy(right):
    low, high = accuracy_interval(np.array(right))
    assert 0 <= low <= np.mean(right) <= high <= 1 and low < high


def test_no_picture_no_interval():
    with pytest.raises(ValueError, match="at least one"):
        accuracy_interval(np.array([], bool))


def sure(confidence: np.ndarray) -> np.ndarray:
    """Probabilities with this much for the first class and the rest shared by the others."""
    rest = np.repeat((1 - confidence)[:, None] / 6, 6, axis=1)
    return np.hstack([confidence[:, None], rest])


def test_calibration_by_hand():
    y = np.array([0, 0, 1, 0])  # 0.9 three times, right in two of them; 0.6 once, right
    p = sure(np.array([0.9, 0.9, 0.9, 0.6]))
    table = reliability(y, p, bins=10)
    assert table["n"].tolist() == [0, 0, 0, 0, 0, 1, 0, 0, 3, 0]
    assert table.loc[8, ["low", "high", "confidence"]].tolist() == pytest.approx([0.8, 0.9, 0.9])
    assert table.loc[8, "accuracy"] == pytest.approx(2 / 3) and np.isnan(table.loc[0, "accuracy"])
    by_hand = 3 / 4 * (0.9 - 2 / 3) + 1 / 4 * (1 - 0.6)
    assert expected_calibration_error(y, p, bins=10) == pytest.approx(by_hand)


def test_a_model_that_is_right_as_often_as_it_says_is_calibrated_and_a_boaster_is_not():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.3, 1, 20000)
    y = np.where(rng.random(20000) < confidence, 0, 1)
    assert expected_calibration_error(y, sure(confidence)) < 0.015
    boast = sure(np.full(20000, 0.999))
    assert expected_calibration_error(y, boast) == pytest.approx(0.999 - (y == 0).mean(), abs=1e-6)


@given(st.lists(st.tuples(st.integers(0, 6), st.floats(1 / 7, 1)), min_size=1, max_size=50))
def test_every_picture_is_in_one_bin_and_the_error_is_a_share(pictures):
    y, confidence = (np.array(values) for values in zip(*pictures, strict=True))
    table = reliability(y, sure(confidence))
    filled = table[table["n"] > 0]
    assert table["n"].sum() == len(y)
    assert (filled["confidence"].between(filled["low"] - 1e-9, filled["high"] + 1e-9)).all()
    assert 0 <= expected_calibration_error(y, sure(confidence)) <= 1
