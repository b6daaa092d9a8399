"""How far a model's confidence can be trusted: fitted on validation pictures, told of any pictures."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fer_tasks.evaluation import calibration
from fer_tasks.evaluation.scores import accuracy_interval, expected_calibration_error

COVERAGES = (0.8, 0.9, 0.95)  # of sets of expressions, that figures are told of


class Confidence(NamedTuple):
    """What turns a model's probabilities into answers with an honest confidence."""

    temperature: float
    doubt: calibration.Doubt
    conformal: calibration.ConformalScores
    prior: Sequence[float] | None  # as `calibration.calibrated` takes it


def fit_confidence(
    y_true: np.ndarray,
    probabilities: np.ndarray,
    prior: Sequence[float] | None = None,
    temperature: float | None = None,
) -> Confidence:
    """Fit a temperature, and then the threshold of doubt and the conformal scores on what it calibrates.

    `y_true`: (n,) int, n > 0. `probabilities`: (n, 7), as the model gives them. `prior`: as for
    `calibration.calibrated`. `temperature`: None, or that which is to be taken instead: 1 where they are
    calibrated already.
    """
    if temperature is None:
        temperature = calibration.fit_temperature(y_true, probabilities, prior)
    calibrated = calibration.calibrated(probabilities, temperature, prior)
    return Confidence(
        temperature,
        calibration.fit_doubt(y_true, calibrated),
        calibration.conformal_scores(y_true, calibrated),
        prior,
    )


def confidence_figures(
    y_true: np.ndarray, probabilities: np.ndarray, confidence: Confidence
) -> dict[str, Any]:
    """What the model achieves on pictures, as plain numbers.

    `faces`; `accuracy` with its 95 % interval `accuracy_low`, `accuracy_high`; `mean_recall` over the
    expressions that occur; `ece_before` and `ece_after` the temperature; `answered`, the share that is not
    doubted, and its `answered_accuracy`; `accuracy_by_share` of the surest; for each of COVERAGES
    `coverage_…`, the share of the sets that hold the true expression, and `set_size_…`, their mean size.
    """
    calibrated = calibration.calibrated(probabilities, confidence.temperature, confidence.prior)
    right = calibrated.argmax(axis=1) == y_true
    low, high = accuracy_interval(right)
    doubt = calibration.doubt_at(confidence.doubt.threshold, y_true, calibrated)
    by_share = calibration.accuracy_by_share(y_true, calibrated)
    figures = {
        "faces": len(y_true),
        "accuracy": float(right.mean()),
        "accuracy_low": low,
        "accuracy_high": high,
        "mean_recall": float(np.mean([right[y_true == k].mean() for k in np.unique(y_true)])),
        "ece_before": expected_calibration_error(y_true, probabilities),
        "ece_after": expected_calibration_error(y_true, calibrated),
        "answered": doubt.answered,
        "answered_accuracy": doubt.accuracy,
        "accuracy_by_share": {f"{share:g}": accuracy for share, accuracy in by_share.items()},
    }
    for coverage in COVERAGES:
        quantile = calibration.conformal_quantile(confidence.conformal, coverage)
        sets = calibration.prediction_sets(calibrated, quantile)
        figures[f"coverage_{coverage:g}"] = float(sets[np.arange(len(sets)), y_true].mean())
        figures[f"set_size_{coverage:g}"] = float(sets.sum(axis=1).mean())
    return figures
