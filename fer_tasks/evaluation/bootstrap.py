"""Compare models on the same test pictures: scores, differences and their bootstrap intervals."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from fer_tasks.labels import EXPRESSIONS

Scores = Mapping[str, np.ndarray]  # of each metric: (draws,)
METRICS = ("accuracy", "macro_f1")
ROUNDING = 1e-6  # of a score
AGAINST = ("", "_gain", "_total")  # the score itself, its difference to the step before and to the first


def compare(
    y_true: np.ndarray, predicted: Mapping[str, np.ndarray], resamples: int, seed: int
) -> pd.DataFrame:
    """Accuracy and macro-F1 of each step, the mean over its seeds, with 95 % intervals, and the differences.

    `y_true`: (n,) int, indices into EXPRESSIONS, n > 0. `predicted`: (seeds, n) int for each step; row k of
    each step was trained with the same seed. Returns a row a step: step and, for each of METRICS, the columns
    `<metric>`, `<metric>_gain` (less the step before) and `<metric>_total` (less the first step), each also
    with `_low` and `_high`.

    Intervals are percentiles of a bootstrap that draws pictures and seeds, each with replacement and
    independently of the other (the pigeonhole bootstrap; Owen 2007, Annals of Applied Statistics 1(2)). All
    steps use the same draws, so differences are paired by picture and by seed. With few seeds the variance
    between seeds is underestimated: with three by about a third. If all draws of a figure agree, as with
    equal predictions, they do not show its uncertainty, and its interval is NaN.

    Raises:
        ValueError: the shapes are others, or n is 0.
    """
    shapes = {predictions.shape for predictions in predicted.values()}
    if not len(y_true) or len(shapes) != 1 or next(iter(shapes))[1:] != y_true.shape:
        raise ValueError(f"n > 0 classes and (seeds, n) predictions, not {y_true.shape} and {shapes}")
    seeds = next(iter(shapes))[0]
    rng = np.random.default_rng(seed)
    # The first row is the test set itself.
    pictures = np.vstack([np.ones(len(y_true)), _draw(rng, len(y_true), resamples)]).astype(np.float32)
    of_seeds = np.vstack([np.ones(seeds), _draw(rng, seeds, resamples)]) / seeds
    scores = {
        step: _scores(y_true, predictions, pictures, of_seeds) for step, predictions in predicted.items()
    }
    steps = list(scores)
    return pd.DataFrame(
        _row(step, scores[step], scores[before], scores[steps[0]])
        for step, before in zip(steps, [steps[0], *steps], strict=False)
    )


def _draw(rng: np.random.Generator, n: int, times: int) -> np.ndarray:
    """How often each of n is drawn, when n are drawn with replacement: (times, n)."""
    return rng.multinomial(n, np.full(n, 1 / n), size=times)


def _scores(y_true: np.ndarray, predictions: np.ndarray, pictures: np.ndarray, seeds: np.ndarray) -> Scores:
    """Each of METRICS under each draw; `pictures`: (draws, n) counts, `seeds`: (draws, seeds) shares."""
    classes = np.eye(len(EXPRESSIONS), dtype=np.float32)
    true = pictures @ classes[y_true]
    there = true > 0
    accuracy, macro_f1 = np.empty_like(seeds), np.empty_like(seeds)
    for k, guess in enumerate(predictions):
        hits = pictures @ (classes[y_true] * (guess == y_true)[:, None])
        f1 = np.divide(2 * hits, true + pictures @ classes[guess], out=np.zeros_like(hits), where=there)
        accuracy[:, k] = hits.sum(axis=1) / len(y_true)
        macro_f1[:, k] = f1.sum(axis=1) / there.sum(axis=1)
    return {"accuracy": (accuracy * seeds).sum(axis=1), "macro_f1": (macro_f1 * seeds).sum(axis=1)}


def _row(step: str, now: Scores, before: Scores, first: Scores) -> dict[str, str | float]:
    row: dict[str, str | float] = {"step": step}
    for metric in METRICS:
        of = (now[metric], now[metric] - before[metric], now[metric] - first[metric])
        for suffix, drawn in zip(AGAINST, of, strict=True):
            low, high = np.percentile(drawn[1:], [2.5, 97.5])
            if high - low < ROUNDING:
                low = high = np.nan
            name = metric + suffix
            row |= {name: float(drawn[0]), f"{name}_low": float(low), f"{name}_high": float(high)}
    return row
