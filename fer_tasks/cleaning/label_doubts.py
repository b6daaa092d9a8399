"""Doubt labels that disagree with a quick model that was not trained on the face (confident learning;
Northcutt et al. 2021).

It learns from HOGs, or from what a network sees that has learnt from other faces. The network's own answer is
among that, so the model chooses how much it counts.
"""

import warnings
from collections.abc import Callable, Iterable
from functools import partial

import numpy as np
from cleanlab.rank import get_label_quality_scores
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from fer_tasks.labels import EXPRESSIONS

FOLDS = 5
COMPONENTS, LANDMARKS = 300, 1500  # principal components of the HOGs; points that approximate the kernel


def out_of_fold(
    features: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    label_model: str,
    apply: Callable[..., Iterable[np.ndarray]] = map,
) -> np.ndarray:
    """Predict each face by a model trained on neither it nor its copies: (n, 7) probabilities.

    `features`: (n, d) of `hog.hog_of` or `network_features.see`. `labels`: (n,) int, indices into
    EXPRESSIONS. `groups`: (n,), equal for copies. `label_model`: one of MODELS. `apply`: a function like
    `map`, which may run the folds in parallel. The result is NaN if there is too little to train on: fewer
    than two classes, fewer than FOLDS groups, or no class with FOLDS faces.
    """
    probabilities = np.full((len(labels), len(EXPRESSIONS)), np.nan)
    _, sizes = np.unique(labels, return_counts=True)
    if len(np.unique(groups)) < FOLDS or len(sizes) < 2 or sizes.max() < FOLDS:
        return probabilities
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class")
        parts = list(folds.split(features, labels, groups))
    predict = partial(_predict_fold, features, labels, MODELS[label_model])
    predictions = apply(predict, *zip(*parts, strict=True))
    for (_, test), predicted in zip(parts, predictions, strict=True):
        probabilities[test] = predicted
    return probabilities


def _predict_fold(
    features: np.ndarray,
    labels: np.ndarray,
    model: Callable[[np.ndarray], Pipeline],
    train: np.ndarray,
    test: np.ndarray,
) -> np.ndarray:
    """Train on the rows `train` and predict the rows `test`: (n, 7), NaN if `train` has only one class."""
    if len(np.unique(labels[train])) < 2:
        return np.full((len(test), len(EXPRESSIONS)), np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # intended: the model must be quick
        fitted = model(features[train]).fit(features[train].astype(np.float32), labels[train])
    predicted = np.zeros((len(test), len(EXPRESSIONS)))
    predicted[:, fitted.classes_] = fitted.predict_proba(features[test].astype(np.float32))
    return predicted


def _of_hogs(hogs: np.ndarray) -> Pipeline:
    """Kernel logistic regression, its RBF kernel approximated (Williams & Seeger 2001)."""
    n, d = hogs.shape
    pca = PCA(min(COMPONENTS, n - 1, d), svd_solver="randomized", random_state=0)
    spread = float(hogs.astype(np.float32).var(axis=0).sum())
    kernel = Nystroem(gamma=0.5 / max(spread, 1e-6), n_components=min(LANDMARKS, n), random_state=0)
    return make_pipeline(pca, kernel, LogisticRegression(C=10, max_iter=200))


def _of_network(seen: np.ndarray) -> Pipeline:
    """Logistic regression. The logarithms of the answer vary most, so they are penalized least."""
    return make_pipeline(StandardScaler(with_std=False), LogisticRegression(C=0.005, max_iter=200))


MODELS = {"hog": _of_hogs, "pretrained": _of_network}  # by clean.label_model


def label_doubt(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """How improbable the model finds each label: (n,) float, 0..1.

    It is one minus cleanlab's self-confidence, which finds labels that are wrong at random better than the
    margin to the likeliest other. NaN where the probabilities are NaN. `labels`: (n,) int. `probabilities`:
    (n, 7), of `out_of_fold`.
    """
    doubt = np.full(len(labels), np.nan)
    predicted = np.isfinite(probabilities).all(axis=1)
    if predicted.any():
        quality = get_label_quality_scores(
            labels[predicted], probabilities[predicted], method="self_confidence"
        )
        doubt[predicted] = 1 - quality
    return doubt
