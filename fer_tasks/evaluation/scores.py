"""Scores of a model on one split: accuracy with its interval, scores by class, confusion, calibration."""

import numpy as np
import pandas as pd
from sklearn.metrics import confusion_matrix, f1_score, log_loss, precision_recall_fscore_support

from fer_tasks.evaluation.wilson import wilson_interval
from fer_tasks.labels import EXPRESSIONS

CLASSES = np.arange(len(EXPRESSIONS))
BINS = 15  # of confidence, as in Guo et al. 2017


def scores(y_true: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """`accuracy`, `loss` (mean negative log-likelihood, nats) and `macro_f1` (mean over the classes that
    occur).

    `y_true`: (n,) int, indices into EXPRESSIONS. `probabilities`: (n, 7), rows that sum to 1.

    Raises:
        ValueError: the shapes are others, or n is 0.
    """
    _check(y_true, probabilities)
    y_pred = probabilities.argmax(axis=1)
    return {
        "accuracy": float((y_true == y_pred).mean()),
        "loss": float(log_loss(y_true, probabilities, labels=CLASSES)),
        "macro_f1": float(
            f1_score(y_true, y_pred, labels=np.unique(y_true), average="macro", zero_division=0)
        ),
    }


def per_class(y_true: np.ndarray, probabilities: np.ndarray) -> pd.DataFrame:
    """A row for each expression: expression, n, precision, recall, f1; NaN where the denominator is 0."""
    _check(y_true, probabilities)
    precision, recall, f1, n = precision_recall_fscore_support(
        y_true, probabilities.argmax(axis=1), labels=CLASSES, zero_division=np.nan
    )
    return pd.DataFrame(
        {"expression": EXPRESSIONS, "n": n, "precision": precision, "recall": recall, "f1": f1}
    ).assign(f1=lambda table: table["f1"].where(table["n"] > 0))


def confusion(y_true: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """The confusion matrix, (7, 7) int: pictures of the row's expression predicted as the column's."""
    _check(y_true, probabilities)
    return confusion_matrix(y_true, probabilities.argmax(axis=1), labels=CLASSES)


def accuracy_interval(right: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of an accuracy, as `wilson_interval`.

    `right`: (n,) bool, whether each prediction is right.

    Raises:
        ValueError: n is 0.
    """
    return wilson_interval(int(right.sum()), len(right))


def reliability(y_true: np.ndarray, probabilities: np.ndarray, bins: int = BINS) -> pd.DataFrame:
    """Accuracy by confidence: a row for each of equally wide bins of the highest probability.

    Columns: low, high (the bin's limits; it holds what lies above `low`), n, confidence (the mean highest
    probability) and accuracy of its pictures, NaN in an empty bin.
    """
    _check(y_true, probabilities)
    confidence = probabilities.max(axis=1).astype(float)
    limits = np.linspace(0, 1, bins + 1)
    place = np.clip(np.searchsorted(limits, confidence, side="left") - 1, 0, bins - 1)
    right = probabilities.argmax(axis=1) == y_true
    n = np.bincount(place, minlength=bins)
    sums = (np.bincount(place, weights=values, minlength=bins) for values in (confidence, right))
    means = (np.divide(total, n, out=np.full(bins, np.nan), where=n > 0) for total in sums)
    columns = ("low", "high", "n", "confidence", "accuracy")
    return pd.DataFrame(dict(zip(columns, (limits[:-1], limits[1:], n, *means), strict=True)))


def expected_calibration_error(y_true: np.ndarray, probabilities: np.ndarray, bins: int = BINS) -> float:
    """The mean gap between a model's confidence and its accuracy over pictures, 0..1 (ECE; Guo et al.,
    "On Calibration of Modern Neural Networks", ICML 2017)."""
    table = reliability(y_true, probabilities, bins)
    gaps = (table["accuracy"] - table["confidence"]).abs() * table["n"]
    return float(gaps.sum() / len(y_true))


def _check(y_true: np.ndarray, probabilities: np.ndarray) -> None:
    if not len(y_true) or probabilities.shape != (len(y_true), len(EXPRESSIONS)):
        raise ValueError(f"n > 0 classes and (n, 7) probabilities, not {y_true.shape}, {probabilities.shape}")
