"""How good a model is on one split: accuracy with its interval, scores by class, confusion."""

import numpy as np
import pandas as pd
from sklearn.metrics import confusion_matrix, f1_score, log_loss, precision_recall_fscore_support

from fer_tasks.labels import EXPRESSIONS

CLASSES = np.arange(len(EXPRESSIONS))


def scores(y_true: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """`accuracy`, `loss` (mean negative log-likelihood, nats) and `macro_f1` (mean over the classes that
    occur).

    `y_true`: (n,) int, indices into EXPRESSIONS. `probabilities`: (n, 7), rows that sum to 1. Raises
    ValueError for other shapes, and where there is no picture.
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
    """One row an expression: expression, n, precision, recall, f1; NaN where there is nothing to divide
    by."""
    _check(y_true, probabilities)
    precision, recall, f1, n = precision_recall_fscore_support(
        y_true, probabilities.argmax(axis=1), labels=CLASSES, zero_division=np.nan
    )
    return pd.DataFrame(
        {"expression": EXPRESSIONS, "n": n, "precision": precision, "recall": recall, "f1": f1}
    ).assign(f1=lambda table: table["f1"].where(table["n"] > 0))


def confusion(y_true: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """(7, 7) int: how many pictures of the expression of the row were taken for that of the column."""
    _check(y_true, probabilities)
    return confusion_matrix(y_true, probabilities.argmax(axis=1), labels=CLASSES)


def accuracy_interval(right: np.ndarray, resamples: int, seed: int) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval (Efron 1979) of an accuracy; `right`: (n,) bool, n > 0.

    Of a yes-or-no figure the resampled count is binomial: it is drawn directly, which is the same thing.
    """
    if not len(right):
        raise ValueError("an interval needs at least one picture")
    drawn = np.random.default_rng(seed).binomial(len(right), right.mean(), resamples) / len(right)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)


def _check(y_true: np.ndarray, probabilities: np.ndarray) -> None:
    if not len(y_true) or probabilities.shape != (len(y_true), len(EXPRESSIONS)):
        raise ValueError(f"n > 0 classes and (n, 7) probabilities, not {y_true.shape}, {probabilities.shape}")
