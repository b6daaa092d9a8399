"""Models beside each other: scores by hand, and intervals as wide as pictures and seeds make them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_tasks.evaluation.bootstrap import METRICS, compare
from fer_tasks.evaluation.scores import accuracy_interval, scores

RNG = np.random.default_rng(0)
Y = RNG.integers(0, 7, 300)


def guesses(accuracy: float, seeds: int = 3, rng: np.random.Generator = RNG) -> np.ndarray:
    """(seeds, n) guesses of which about this share is right."""
    right = rng.random((seeds, len(Y))) < accuracy
    return np.where(right, Y, (Y + 1) % 7)


def row(step: str, **predicted: np.ndarray) -> dict[str, float]:
    return compare(Y, predicted, 2000, 0).set_index("step").loc[step].to_dict()


def test_by_hand():
    y_true = np.array([0, 0, 1, 3])
    said = np.array([[0, 1, 1, 3], [0, 0, 0, 0]])
    first, second = compare(y_true, {"a": said, "b": np.array([y_true, y_true])}, 500, 0).to_dict("records")
    f1 = ((2 / 3 + 2 / 3 + 1) / 3 + (2 / 3) / 3) / 2
    assert first["accuracy"] == pytest.approx((0.75 + 0.5) / 2) and first["macro_f1"] == pytest.approx(f1)
    assert second["accuracy"] == 1 and second["macro_f1_gain"] == pytest.approx(1 - f1, abs=1e-6)
    assert np.isnan([second["accuracy_low"], second["accuracy_high"]]).all(), "four of four are no certainty"


@given(st.integers(0, 2**32), st.integers(1, 4), st.integers(1, 60))
@settings(max_examples=40, deadline=None)
def test_the_scores_are_those_of_the_report(seed, seeds, n):
    rng = np.random.default_rng(seed)
    y_true, said = rng.integers(0, 7, n), rng.integers(0, 7, (seeds, n))
    found = compare(y_true, {"a": said}, 100, 0).iloc[0]
    one_by_one = [scores(y_true, np.eye(7)[guess]) for guess in said]
    for metric in METRICS:
        assert found[metric] == pytest.approx(np.mean([one[metric] for one in one_by_one]), abs=1e-6)
        low, high = found[f"{metric}_low"], found[f"{metric}_high"]
        assert 0 <= low <= high <= 1 and low < high or np.isnan([low, high]).all()
        assert found[f"{metric}_gain"] == found[f"{metric}_total"] == 0


def test_gains_are_against_the_step_before_and_totals_against_the_first():
    steps = {name: guesses(share) for name, share in (("a", 0.4), ("b", 0.5), ("c", 0.7))}
    table = compare(Y, steps, 500, 0).set_index("step")
    for metric in METRICS:
        assert table[f"{metric}_gain"].tolist() == pytest.approx([0, *np.diff(table[metric])])
        assert table[f"{metric}_total"].tolist() == pytest.approx(table[metric] - table[metric].iloc[0])


def test_the_same_predictions_differ_by_nothing_and_nobody_knows_how_surely():
    said = guesses(0.5)
    again = row("b", a=said, b=said.copy())
    assert again["accuracy_gain"] == 0
    assert np.isnan([again[f"{metric}_gain{end}"] for metric in METRICS for end in ("_low", "_high")]).all()


def test_seeds_that_agree_leave_the_interval_of_the_pictures():
    said = np.repeat(guesses(0.6, seeds=1), 3, axis=0)
    found = row("a", a=said)
    right = said[0] == Y
    assert (found["accuracy_low"], found["accuracy_high"]) == pytest.approx(
        accuracy_interval(right), abs=0.012
    )


def test_seeds_that_differ_widen_it():
    alike = np.concatenate([guesses(0.5, seeds=1)] * 3)
    apart = np.concatenate([guesses(share, seeds=1) for share in (0.2, 0.5, 0.8)])
    one, other = row("a", a=alike), row("a", a=apart)
    assert one["accuracy"] == pytest.approx(other["accuracy"], abs=0.05)
    assert other["accuracy_high"] - other["accuracy_low"] > 2 * (one["accuracy_high"] - one["accuracy_low"])


def test_a_difference_on_the_same_pictures_is_surer_than_its_ends():
    said = guesses(0.5)
    better = said.copy()
    better[:, :15] = Y[:15]  # right on a few more pictures, the same on all others
    found = row("b", a=said, b=better)
    assert 0 < found["accuracy_gain_low"] < found["accuracy_gain"] < found["accuracy_gain_high"]
    assert (
        found["accuracy_gain_high"] - found["accuracy_gain_low"]
        < found["accuracy_high"] - found["accuracy_low"]
    )


@pytest.mark.slow
def test_an_interval_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(4)
    held = 0
    for _ in range(200):
        found = compare(Y[:120], {"a": guesses(0.5, 3, rng)[:, :120]}, 400, 0).iloc[0]
        held += found["accuracy_low"] <= 0.5 <= found["accuracy_high"]
    assert held / 200 > 0.93  # it errs on the safe side where seeds only add noise


@pytest.mark.parametrize("said", [{"a": np.zeros((3, 4), int)}, {"a": np.zeros((3, 300), int), "b": Y[None]}])
def test_other_shapes_are_refused(said):
    with pytest.raises(ValueError, match="predictions"):
        compare(Y, said, 100, 0)
    with pytest.raises(ValueError, match="predictions"):
        compare(Y[:0], {"a": np.zeros((3, 0), int)}, 100, 0)
