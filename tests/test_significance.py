"""Paired tests: as the textbook has them, and no alarm where there is nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from fer_tasks.evaluation.significance import against, gain_interval, holm, mcnemar


def pair(both: int, one: int, other: int, neither: int = 0) -> tuple[np.ndarray, np.ndarray]:
    counts = (both, one, other, neither)
    return np.repeat([True, True, False, False], counts), np.repeat([True, False, True, False], counts)


def test_mcnemar_counts_only_what_one_alone_names_right():
    assert (
        mcnemar(*pair(50, 1, 8)) == mcnemar(*pair(5000, 1, 8, 77)) == pytest.approx(2 * binom.cdf(1, 9, 0.5))
    )
    assert mcnemar(*pair(9, 4, 4)) == mcnemar(*pair(9, 0, 0)) == 1


def test_holm_by_hand():
    assert holm(np.array([0.04, 0.01, 0.03])).tolist() == pytest.approx([0.06, 0.03, 0.06])
    assert holm(np.array([0.9, 0.8])).tolist() == [1, 1] and len(holm(np.array([]))) == 0


@given(st.lists(st.floats(0, 1), max_size=20))
def test_holm_keeps_the_order_and_lowers_nothing(p):
    p = np.array(p)
    raised = holm(p)
    assert (raised >= p).all() and (raised <= 1).all()
    assert (np.diff(raised[np.argsort(p, kind="stable")]) >= 0).all()


def test_the_interval_of_a_gain_is_that_of_pictures_drawn_together():
    one, other = pair(60, 25, 10, 25)
    rng = np.random.default_rng(5)
    drawn = (rng.integers(0, 120, 120) for _ in range(4000))
    gains = [one[rows].mean() - other[rows].mean() for rows in drawn]
    assert gain_interval(one, other) == pytest.approx(np.percentile(gains, [2.5, 97.5]), abs=0.011)


@pytest.mark.parametrize(
    ("counts", "interval"),  # right: both, one alone, the other alone, neither; as in Newcombe 1998
    [
        ((36, 12, 2, 0), (0.0569, 0.3404)),
        ((20, 12, 2, 16), (0.0562, 0.3292)),
        ((54, 0, 0, 0), (-0.0664, 0.0664)),
    ],
)
def test_the_interval_of_a_gain_is_that_of_the_paper(counts, interval):
    assert gain_interval(*pair(*counts)) == pytest.approx(interval, abs=5e-4)


@given(st.tuples(*[st.integers(0, 40)] * 4).filter(any))
def test_the_interval_of_a_gain_holds_it_and_has_a_width(counts):
    one, other = pair(*counts)
    low, high = gain_interval(one, other)
    gain = one.mean() - other.mean()
    assert -1 - 1e-9 <= low <= gain + 1e-9 and gain - 1e-9 <= high <= 1 + 1e-9 and high - low > 1e-3
    assert gain_interval(other, one) == pytest.approx((-high, -low))


@pytest.mark.slow
def test_an_interval_of_a_gain_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(1000):
        alike, alone, lucky = rng.random(40) < 0.8, rng.random(40) < 0.9, rng.random(40) < 0.7
        low, high = gain_interval(alike & alone, alike & lucky)
        held += low <= 0.8 * 0.9 - 0.8 * 0.7 <= high
    assert 930 <= held <= 990


def test_models_against_one_of_them():
    best, worse = pair(60, 30, 5, 5)
    table = against({"best": best, "worse": worse, "same": best}, "best").set_index("cell")
    assert list(table.index) == ["worse", "same"]
    assert table.loc["worse", "gain"] == pytest.approx(-0.25) and table.loc["worse", "gain_high"] < 0
    assert table["differs"].tolist() == [True, False] and table.loc["same", "p"] == 1


def test_a_model_alone_has_none_to_differ_from():
    alone = against({"best": np.array([True])}, "best")
    assert alone.empty and {"gain", "gain_low", "gain_high", "p", "differs"} <= set(alone.columns)


@pytest.mark.parametrize("right", [{"a": np.ones(3, bool), "b": np.ones(2, bool)}, {"a": np.ones(0, bool)}])
def test_other_pictures_are_refused(right):
    with pytest.raises(ValueError, match="the same n > 0 pictures"):
        against(right, "a")


@pytest.mark.slow
def test_chance_is_rarely_taken_for_a_difference():
    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(60):
        right = {f"cell-{i}": rng.random(300) < 0.6 for i in range(12)}
        alarms += bool(against(right, "cell-0")["differs"].any())
    assert alarms <= 8, "about 3 of 60 at a level of 5 %"
