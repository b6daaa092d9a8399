"""What is fitted on validation keeps its promise on pictures that were not seen."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_tasks.evaluation import calibration
from fer_tasks.evaluation.scores import expected_calibration_error

QUICK = settings(max_examples=25, deadline=None)
SEEDS = st.integers(0, 2**32 - 1)


def draw(seed: int, n: int, sharpness: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """True expressions, drawn from the probabilities that are returned with them: calibrated as they are."""
    rng = np.random.default_rng(seed)
    p = calibration.calibrated(rng.dirichlet(np.ones(7), n), 1 / sharpness)
    return (p.cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1), p


@QUICK
@given(SEEDS, st.floats(0.3, 4))
def test_a_planted_temperature_is_found_and_the_calibration_error_goes(seed, temperature):
    y, p = draw(seed, 3000)
    distorted = calibration.calibrated(p, 1 / temperature)
    fitted = calibration.fit_temperature(y, distorted)
    assert fitted == pytest.approx(temperature, rel=0.15)
    after = expected_calibration_error(y, calibration.calibrated(distorted, fitted))
    assert after < max(0.05, expected_calibration_error(y, distorted))


def test_no_mistake_on_validation_makes_no_model_certain():
    p = np.full((58, 7), 0.02)
    p[:, 3] = 0.88
    fitted = calibration.fit_temperature(np.full(58, 3), p)
    assert 0.3 < fitted < 1
    assert calibration.calibrated(p, fitted).max() < 0.9999


def test_probabilities_of_0_and_1_are_no_trouble():
    p = np.eye(7, dtype=np.float32)[[0, 1, 2]]
    fitted = calibration.fit_temperature(np.array([0, 1, 3]), p)
    assert 5 < fitted < 50
    assert np.isfinite(calibration.calibrated(p, fitted)).all()


@QUICK
@given(SEEDS, st.floats(0.05, 20))
def test_calibrated_probabilities_sum_to_1_and_keep_the_order(seed, temperature):
    _, p = draw(seed, 20)
    scaled = calibration.calibrated(p, temperature)
    assert scaled.sum(axis=1) == pytest.approx(1)
    assert (scaled.argmax(axis=1) == p.argmax(axis=1)).all()


@given(SEEDS, st.integers(100, 500), st.sampled_from([0.5, 0.8, 0.9, 0.95]))
@settings(max_examples=60, deadline=None)
def test_a_set_holds_the_true_expression_as_often_as_promised(seed, n, coverage):
    """Of draws that are exchangeable, and whatever the model."""
    y, p = draw(seed, n + 4000)
    wrong_model = calibration.calibrated(p, 3)
    quantile = calibration.conformal_quantile(calibration.conformal_scores(y[:n], wrong_model[:n]), coverage)
    sets = calibration.prediction_sets(wrong_model[n:], quantile)
    reached = sets[np.arange(4000), y[n:]].mean()
    spread = math.sqrt(coverage * (1 - coverage) * (1 / (n + 2) + 1 / 4000))
    assert reached >= coverage - 5 * spread


def test_the_mean_coverage_of_small_validation_splits_is_no_less():
    """The finite-sample correction: 9 pictures, 80 %, a thousand times."""
    reached = []
    for seed in range(1000):
        y, p = draw(seed, 10)
        quantile = calibration.conformal_quantile(calibration.conformal_scores(y[:9], p[:9]), 0.8)
        reached.append((1 - p[9, y[9]]) <= quantile)
    assert 0.76 < np.mean(reached) < 0.84


@QUICK
@given(SEEDS, st.integers(1, 700))
def test_sets_shrink_with_the_coverage_and_are_never_empty(seed, n):
    y, p = draw(seed, n)
    kept = calibration.conformal_scores(y, p)
    assert kept.n == n and len(kept.scores) == min(n, calibration.KEPT_SCORES)
    quantiles = [calibration.conformal_quantile(kept, coverage) for coverage in np.linspace(0, 1, 23)]
    assert quantiles == sorted(quantiles) and quantiles[-1] == 1.0
    sizes = [calibration.prediction_sets(p, q).sum(axis=1) for q in quantiles]
    assert all((fewer <= more).all() for fewer, more in zip(sizes, sizes[1:], strict=False))
    assert (sizes[0] >= 1).all() and (sizes[-1] == 7).all()


@QUICK
@given(SEEDS, st.integers(201, 3000), st.floats(0.01, 0.999))
def test_scores_that_are_left_out_make_a_set_larger_and_by_little(seed, n, coverage):
    y, p = draw(seed, n)
    every = np.sort(1 - p[np.arange(n), y])
    rank = math.ceil(round((n + 1) * coverage, 9))
    quantile = calibration.conformal_quantile(calibration.conformal_scores(y, p), coverage)
    if rank <= n:
        assert every[rank - 1] <= quantile <= every[min(rank - 1 + n // calibration.KEPT_SCORES + 1, n - 1)]


@QUICK
@given(SEEDS, st.integers(1, 300))
def test_no_other_threshold_of_doubt_is_worth_more(seed, n):
    y, p = draw(seed, n, sharpness=0.7)
    right, confidence = p.argmax(axis=1) == y, p.max(axis=1)
    doubt = calibration.fit_doubt(y, p)
    worth = [(right[confidence >= limit] - 0.5).sum() for limit in [0, *confidence, 1.01]]
    assert (right[confidence >= doubt.threshold] - 0.5).sum() == max(worth)
    assert 0 <= doubt.threshold <= 1
    assert doubt.answered == (confidence >= doubt.threshold).mean()
    if doubt.answered:
        assert doubt.accuracy >= max(right.mean(), 0.5)


def test_a_model_that_is_always_right_is_never_doubted_and_one_that_is_never_right_always():
    p = np.full((4, 7), 0.1)
    p[:, 2] = 0.4
    assert calibration.fit_doubt(np.full(4, 2), p) == (0.0, 1.0, 1.0)
    assert calibration.fit_doubt(np.full(4, 5), p) == (1.0, 0.0, None)


def test_accuracy_by_share_answers_the_surest():
    confidence = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    p = np.column_stack([confidence, *[(1 - confidence) / 6] * 6])
    y = np.array([0, 0, 1, 0, 1])
    assert calibration.accuracy_by_share(y, p) == {1.0: 0.6, 0.9: 0.6, 0.8: 0.75, 0.7: 0.75}
    assert calibration.accuracy_by_share(y, p, (0.4,)) == {0.4: 1.0}


def test_balanced_probabilities_are_those_of_equally_frequent_expressions():
    rng = np.random.default_rng(0)
    prior = np.array([0.5, 0.2, 0.1, 0.1, 0.05, 0.05, 0.0])
    likelihoods = rng.random((50, 7))
    posterior = likelihoods * prior / (likelihoods * prior).sum(axis=1, keepdims=True)
    expected = likelihoods[:, :6] / likelihoods[:, :6].sum(axis=1, keepdims=True)
    answers = calibration.balanced(posterior, prior)
    assert answers[:, :6] == pytest.approx(expected) and (answers[:, 6] == 0).all(), "it was never learnt"


@QUICK
@given(SEEDS, st.floats(0.05, 20), st.sets(st.integers(0, 6), min_size=1, max_size=6))
def test_what_a_model_has_seen_none_of_it_never_answers(seed, temperature, unseen):
    y, p = draw(seed, 20)
    prior = np.where(np.isin(np.arange(7), [*unseen]), 0, 0.5)
    given = calibration.calibrated(p, temperature, prior)
    assert (given[:, [*unseen]] == 0).all() and given.sum(axis=1) == pytest.approx(1)
    kept = [k for k in range(7) if k not in unseen]
    of_the_others = p[:, kept] / p[:, kept].sum(axis=1, keepdims=True)
    assert given[:, kept] == pytest.approx(calibration.calibrated(of_the_others, temperature))
    assert not calibration.prediction_sets(given, 1.0)[:, [*unseen]].any()
    assert calibration.calibrated(p, temperature, np.full(7, 1 / 7)) == pytest.approx(
        calibration.calibrated(p, temperature)
    )
