"""Weights of an ensemble: on the simplex, at the optimum, never worse than the mean on what they are fitted
to."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_tasks.evaluation import ensemble

CLASSES = 4
FITS = {
    "log_likelihood": lambda p, y, ridge, margin: ensemble.log_likelihood_weights(p, y, ridge),
    "hinge": lambda p, y, ridge, margin: ensemble.hinge_weights(p, y, margin, ridge),
}


def log_likelihood(w: np.ndarray, p: np.ndarray, y: np.ndarray, ridge: float, margin: float) -> float:
    """The paper's sums, written out."""
    likely = [sum(w[k] * max(p[k, i, y[i]], ensemble.SMALLEST) for k in range(len(w))) for i in range(len(y))]
    return -sum(np.log(likely)) + ridge * sum(w**2)


def hinge(w: np.ndarray, p: np.ndarray, y: np.ndarray, ridge: float, margin: float) -> float:
    brackets = [
        max(0, 1 - sum(w[k] * (p[k, i, y[i]] - p[k, i, c]) for k in range(len(w))) / margin)
        for i in range(len(y))
        for c in range(CLASSES)
        if c != y[i]
    ]
    return sum(brackets) + ridge * sum(w**2)


OBJECTIVES = {"log_likelihood": log_likelihood, "hinge": hinge}


@st.composite
def problems(draw, members: tuple[int, int] = (1, 4)) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Probabilities of networks of unlike skill and sureness, the truth, a ridge and a margin."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    k, n = draw(st.integers(*members)), draw(st.integers(1, 25))
    y = rng.integers(0, CLASSES, n)
    logits = rng.normal(0, rng.uniform(0.1, 8), (k, n, CLASSES))
    logits[:, np.arange(n), y] += rng.uniform(-1, 3, (k, 1))
    p = np.exp(logits - logits.max(axis=2, keepdims=True))
    p = (p / p.sum(axis=2, keepdims=True)).astype(np.float32)
    return p, y, draw(st.sampled_from([0, 0.1, 10])), draw(st.sampled_from([0.1, 0.5, 1, 2]))


@pytest.mark.parametrize("way", FITS)
@settings(max_examples=60, deadline=None)
@given(problem=problems())
def test_weights_lie_on_the_simplex_and_are_never_worse_than_the_mean(way, problem):
    weights = FITS[way](*problem)
    assert (weights >= 0).all() and weights.sum() == pytest.approx(1)
    cost = OBJECTIVES[way]
    of_mean = cost(ensemble.equal_weights(len(weights)), *problem)
    assert cost(weights, *problem) <= of_mean + 1e-5 * (1 + abs(of_mean))


@pytest.mark.parametrize("way", FITS)
@settings(max_examples=25, deadline=None)
@given(problem=problems((2, 3)))
def test_no_point_of_a_grid_on_the_simplex_is_better(way, problem):
    members, steps, cost = len(problem[0]), 20, OBJECTIVES[way]
    points = itertools.product(range(steps + 1), repeat=members - 1)
    grid = [np.array([*point, steps - sum(point)]) / steps for point in points if sum(point) <= steps]
    best = min(cost(w, *problem) for w in grid)
    assert cost(FITS[way](*problem), *problem) <= best + 1e-5 * (1 + abs(best))


@pytest.mark.parametrize("way", FITS)
@settings(max_examples=25, deadline=None)
@given(problem=problems((2, 4)), seed=st.integers(0, 99))
def test_the_order_of_the_members_does_not_matter(way, problem, seed):
    p, y, _, margin = problem
    order = np.random.default_rng(seed).permutation(len(p))
    one = FITS[way](p, y, 1, margin)  # a ridge: one solution
    other = FITS[way](p[order], y, 1, margin)
    assert other == pytest.approx(one[order], abs=2e-3)


@pytest.mark.parametrize("way", FITS)
@settings(max_examples=20, deadline=None)
@given(problem=problems((1, 1)), copies=st.integers(1, 5))
def test_equal_members_get_equal_weights(way, problem, copies):
    p, *rest = problem
    weights = FITS[way](np.repeat(p, copies, axis=0), *rest)
    assert weights == pytest.approx(np.full(copies, 1 / copies), abs=1e-4)


@pytest.mark.parametrize("way", FITS)
def test_a_member_that_excludes_the_truth_gets_nothing(way):
    y = np.arange(20) % CLASSES
    right = np.where(np.arange(CLASSES) == y[:, None], 0.7, 0.1)
    never = np.where(np.arange(CLASSES) == y[:, None], 0, 1 / 3)
    assert FITS[way](np.stack([never, right]), y, 0, 1) == pytest.approx([0, 1], abs=1e-6)
    both = FITS[way](np.stack([never, never]), y, 0, 1)
    assert both == pytest.approx([0.5, 0.5], abs=1e-4), "nobody gives the truth a chance: still weights"


@pytest.mark.parametrize("way", FITS)
def test_a_heavy_ridge_ends_at_the_mean(way):
    rng = np.random.default_rng(1)
    p, y = rng.dirichlet(np.ones(CLASSES), (3, 30)), rng.integers(0, CLASSES, 30)
    assert FITS[way](p, y, 1e6, 1) == pytest.approx(np.full(3, 1 / 3), abs=1e-4)


@settings(max_examples=20, deadline=None)
@given(problem=problems())
def test_the_weighted_mean_is_a_distribution_between_its_members(problem):
    p, y, *_ = problem
    weights = np.random.default_rng(len(y)).dirichlet(np.ones(len(p)))
    combined = ensemble.combine(p, weights)
    assert combined.dtype == np.float32 and combined.sum(axis=1) == pytest.approx(np.ones(len(y)), abs=1e-5)
    assert (combined <= p.max(axis=0) + 1e-6).all() and (combined >= p.min(axis=0) - 1e-6).all()
    mean = ensemble.combine(p, ensemble.equal_weights(len(p)))
    assert mean == pytest.approx(p.mean(axis=0), abs=1e-6)


@pytest.mark.parametrize("way", FITS)
def test_weights_want_pictures_and_their_probabilities(way):
    p = np.full((2, 3, CLASSES), 0.25)
    for wrong in ((p, np.zeros(4, int)), (p[0], np.zeros(3, int)), (p[:, :0], np.zeros(0, int))):
        with pytest.raises(ValueError, match="n > 0 classes, not"):
            FITS[way](*wrong, 0, 1)
