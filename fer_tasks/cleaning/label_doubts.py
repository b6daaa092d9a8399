"""Labels that a quick model, which never saw the face, would not give it (confident learning; Northcutt et
al. 2021)."""

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

from fer_tasks.labels import EXPRESSIONS

FOLDS = 5
COMPONENTS, LANDMARKS = 300, 1500  # of the HOGs; of the kernel


def out_of_fold(
    hogs: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    apply: Callable[..., Iterable[np.ndarray]] = map,
) -> np.ndarray:
    """What models that saw neither a face nor its copies say of it: (n, 7) probabilities.

    `hogs`: (n, d) of `hog.hog_of`. `labels`: (n,) int, indices into EXPRESSIONS. `groups`: (n,), of copies.
    NaN where there is too little to learn from: fewer than two classes, fewer than FOLDS groups, or no class
    of FOLDS faces. `apply`: like `map`, over the folds; it may run them side by side.
    """
    probabilities = np.full((len(labels), len(EXPRESSIONS)), np.nan)
    _, sizes = np.unique(labels, return_counts=True)
    if len(np.unique(groups)) < FOLDS or len(sizes) < 2 or sizes.max() < FOLDS:
        return probabilities
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class")
        parts = list(folds.split(hogs, labels, groups))
    told = apply(partial(_ask, hogs, labels), *zip(*parts, strict=True))
    for (_, ask), said in zip(parts, told, strict=True):
        probabilities[ask] = said
    return probabilities


def _ask(hogs: np.ndarray, labels: np.ndarray, teach: np.ndarray, ask: np.ndarray) -> np.ndarray:
    """What a model that learned from the rows `teach` says of the rows `ask`: (n, 7), NaN where it had but
    one class to learn."""
    if len(np.unique(labels[teach])) < 2:
        return np.full((len(ask), len(EXPRESSIONS)), np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # by intent: it is to be quick
        model = _model(hogs[teach]).fit(hogs[teach].astype(np.float32), labels[teach])
    said = np.zeros((len(ask), len(EXPRESSIONS)))
    said[:, model.classes_] = model.predict_proba(hogs[ask].astype(np.float32))
    return said


def _model(hogs: np.ndarray) -> Pipeline:
    """Kernel logistic regression, its RBF kernel approximated (Williams & Seeger 2001)."""
    n, d = hogs.shape
    pca = PCA(min(COMPONENTS, n - 1, d), svd_solver="randomized", random_state=0)
    spread = float(hogs.astype(np.float32).var(axis=0).sum())
    kernel = Nystroem(gamma=0.5 / max(spread, 1e-6), n_components=min(LANDMARKS, n), random_state=0)
    return make_pipeline(pca, kernel, LogisticRegression(C=10, max_iter=200))


def label_doubt(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """(n,) float, 0..1: 0 where the model is sure of the label, 1 where it is sure of another; cleanlab's
    normalised margin, turned about. NaN where the probabilities are."""
    doubt = np.full(len(labels), np.nan)
    known = np.isfinite(probabilities).all(axis=1)
    if known.any():
        quality = get_label_quality_scores(labels[known], probabilities[known], method="normalized_margin")
        doubt[known] = 1 - quality
    return doubt
