"""What a model's confidence is worth: a temperature, a threshold of doubt and sets of expressions, all fitted
on validation pictures.

Probabilities are (n, 7) rows that sum to 1; true expressions (n,) int, indices into EXPRESSIONS; n > 0.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fer_tasks.labels import EXPRESSIONS

TINY = float(np.finfo(np.float32).tiny)  # a probability that rounded to 0 counts as this
LOG_TEMPERATURES = (math.log(0.02), math.log(50))  # where the best one is looked for
KEPT_SCORES = 200  # of sorted scores; more would change a coverage by less than 0.5 %


class Doubt(NamedTuple):
    """A confidence below which an answer is doubted, and what came of it."""

    threshold: float  # 0..1
    answered: float  # the share of the pictures at or above it
    accuracy: float | None  # of these; None if there are none


class ConformalScores(NamedTuple):
    """Scores of validation pictures: 1 less the probability of the true expression."""

    scores: list[float]  # ascending; the i-th of m, from 1, has rank ceil(i * n / m) of all n
    n: int


def calibrated(
    probabilities: np.ndarray, temperature: float, prior: Sequence[float] | None = None
) -> np.ndarray:
    """softmax(log p / T) in float64: above 1 the temperature makes a model less sure; the guess stays.

    `prior`: the share of each expression in what the model learnt from; one that was not there, 0, gets 0.
    """
    scaled = np.log(np.maximum(probabilities.astype(float), TINY)) / temperature
    if prior is not None:
        scaled += unlearnt_as_logits(prior)
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def unlearnt_as_logits(prior: Sequence[float]) -> np.ndarray:
    """(7,) float32: 0, or -inf for an expression that a model has seen none of. Added to logits, it leaves
    that no probability. `prior`: as for `calibrated`."""
    return np.where(np.asarray(prior) > 0, 0, -np.inf).astype(np.float32)


def unlearnt(prior: Sequence[float]) -> list[str]:
    """The expressions that a model has seen none of. `prior`: as for `calibrated`."""
    return [name for name, share in zip(EXPRESSIONS, prior, strict=True) if not share]


def balanced(probabilities: np.ndarray, prior: Sequence[float]) -> np.ndarray:
    """The probabilities if every expression were as frequent as any other, by Bayes' rule: p / prior, scaled
    to sum to 1 (the post-hoc logit adjustment of Menon et al., "Long-tail learning via logit adjustment",
    ICLR 2021).

    `prior`: as for `calibrated`.
    """
    shares = np.asarray(prior, float)
    weighed = np.divide(probabilities, shares, out=np.zeros(probabilities.shape), where=shares > 0)
    return weighed / weighed.sum(axis=1, keepdims=True)


def fit_temperature(
    y_true: np.ndarray, probabilities: np.ndarray, prior: Sequence[float] | None = None
) -> float:
    """The temperature of the least log loss (Guo et al., "On Calibration of Modern Neural Networks", ICML
    2017).

    A standard normal prior on its logarithm, which weighs about as much as one picture, keeps it from 0 where
    validation pictures hold no mistake.
    """
    from scipy.optimize import minimize_scalar  # here: who only predicts must not wait for it

    rows = np.arange(len(y_true))

    def loss(log_temperature: float) -> float:
        true = calibrated(probabilities, math.exp(log_temperature), prior)[rows, y_true]
        return float(-np.log(np.maximum(true, TINY)).sum() + log_temperature**2 / 2)

    return math.exp(minimize_scalar(loss, bounds=LOG_TEMPERATURES, method="bounded").x)


def fit_doubt(y_true: np.ndarray, probabilities: np.ndarray) -> Doubt:
    """The threshold below which answers were wrong at least as often as right.

    It is Chow's rule ("On optimum recognition error and reject tradeoff", 1970), where a doubted answer costs
    half as much as a wrong one; of equally good thresholds the lowest. It lies halfway between two
    confidences.
    """
    confidence = probabilities.max(axis=1)
    order = np.argsort(-confidence, kind="stable")
    ranked, right = confidence[order], (probabilities.argmax(axis=1) == y_true)[order]
    gains = np.concatenate([[0.0], np.cumsum(right - 0.5)])  # of answering the k surest
    between = np.concatenate([[True], ranked[1:] < ranked[:-1], [True]])  # not among equal confidences
    limits = np.concatenate([[1.0], (ranked[1:] + ranked[:-1]) / 2, [0.0]])
    gains[~between] = -np.inf
    answered = len(gains) - 1 - int(gains[::-1].argmax())
    return doubt_at(float(limits[answered]), y_true, probabilities)


def doubt_at(threshold: float, y_true: np.ndarray, probabilities: np.ndarray) -> Doubt:
    """What comes of a threshold on these pictures."""
    answered = probabilities.max(axis=1) >= threshold
    right = probabilities.argmax(axis=1)[answered] == y_true[answered]
    return Doubt(threshold, float(answered.mean()), float(right.mean()) if right.size else None)


def accuracy_by_share(
    y_true: np.ndarray, probabilities: np.ndarray, shares: tuple[float, ...] = (1.0, 0.9, 0.8, 0.7)
) -> dict[float, float]:
    """The accuracy where only the surest are answered, by their share (El-Yaniv & Wiener, "On the Foundations
    of Noise-free Selective Classification", JMLR 2010). A share is rounded up to whole pictures; of equal
    confidences the first come first."""
    order = np.argsort(-probabilities.max(axis=1), kind="stable")
    right = (probabilities.argmax(axis=1) == y_true)[order]
    return {share: float(right[: math.ceil(round(share * len(right), 9))].mean()) for share in shares}


def conformal_scores(y_true: np.ndarray, probabilities: np.ndarray) -> ConformalScores:
    """The scores that `conformal_quantile` takes: all of them, or KEPT_SCORES where there are more."""
    scores = np.sort(1 - probabilities[np.arange(len(y_true)), y_true].astype(float))
    kept = min(len(scores), KEPT_SCORES)
    ranks = [-(-i * len(scores) // kept) for i in range(1, kept + 1)]
    return ConformalScores([float(scores[rank - 1]) for rank in ranks], len(scores))


def conformal_quantile(kept: ConformalScores, coverage: float) -> float:
    """The score up to which an expression belongs to a set that holds the true one with this probability,
    0..1 (split conformal prediction; Vovk et al., "Algorithmic Learning in a Random World", 2005).

    Of n scores it is that of rank ceil((n + 1) * coverage), or the next one kept; 1, which takes in every
    expression, where n pictures are too few for such a coverage.
    """
    rank = math.ceil(round((kept.n + 1) * coverage, 9))
    if rank > kept.n:
        return 1.0
    return kept.scores[max(rank - 1, 0) * len(kept.scores) // kept.n]


def prediction_sets(probabilities: np.ndarray, quantile: float) -> np.ndarray:
    """(n, 7) bool: the expressions whose score, 1 less their probability, is at most `quantile` (LAC;
    Sadinle, Lei & Wasserman, "Least Ambiguous Set-Valued Classifiers with Bounded Error Levels", JASA 2019),
    and the guess: no set is empty. What has probability 0 is in none."""
    sets = (1 - probabilities <= quantile) & (probabilities > 0)
    sets[np.arange(len(sets)), probabilities.argmax(axis=1)] = True
    return sets
