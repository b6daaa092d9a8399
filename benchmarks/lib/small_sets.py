"""What a grid learns from few faces, by five folds."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from fer_tasks.labels import EXPRESSIONS
from fer_tasks.models import build_model
from fer_tasks.recipes import transform_all
from fer_tasks.settings import Grid, load_settings
from fer_tasks.training import fit

FOLDS = 5
VALIDATION = 7  # one in so many faces to learn from is for validation
SEED = 2021


def folds(
    labels: np.ndarray, groups: np.ndarray, n: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The rows to learn from, to validate on and to test on of each fold: at most n of the first two
    together. Every face is tested on once; copies are in one of the three.

    `labels`: (m,) int. `groups`: (m,), equal for copies.
    """
    rng = np.random.default_rng(SEED)
    outer = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=SEED)
    for others, test in outer.split(labels, labels, groups):
        kept = np.sort(rng.permutation(others)[:n])
        inner = StratifiedGroupKFold(VALIDATION, shuffle=True, random_state=SEED)
        learnt, validated = next(inner.split(kept, labels[kept], groups[kept]))
        yield kept[learnt], kept[validated], test


def out_of_fold(
    grid: Grid,
    images: Sequence[np.ndarray],
    labels: np.ndarray,
    groups: np.ndarray,
    n: int,
    send: Callable[[Any], None],
) -> dict[str, np.ndarray]:
    """The probabilities, (m, 7), that each cell and the plain mean of each ensemble give the faces of a fold
    after learning from n others.

    `images`: (M, M, 3) uint8 each. What is sent is a line of progress.
    """
    recipes = load_settings().make_features.recipes
    x = {cell.recipe: transform_all(images, recipes[cell.recipe]) for cell in grid.cells}
    of = {cell.id: x[cell.recipe] for cell in grid.cells}
    names = [*of, *(ensemble.id for ensemble in grid.ensembles)]
    answers = {name: np.empty((len(labels), len(EXPRESSIONS))) for name in names}
    for number, (train, val, test) in enumerate(folds(labels, groups, n), start=1):
        models = {}
        for cell in grid.cells:
            faces = of[cell.id]
            arrays = fit.Arrays(faces[train], labels[train], faces[val], labels[val])
            build = partial(build_model, cell.model, faces.shape[1:], len(EXPRESSIONS), **cell.options)
            fitted = fit.fit(build, arrays, cell, cell.seed, lambda row: None, store=_in_memory)
            models[cell.id] = fitted.model
            answers[cell.id][test] = fit.predict(fitted.model, faces[test])
            right = (answers[cell.id][test].argmax(axis=1) == labels[test]).mean()
            send(f"fold {number}, {cell.id}: {right:.1%} of {len(test)}, {fitted.train_seconds:.0f} s")
        for ensemble in grid.ensembles:
            views = ensemble.test_time_augmentation
            members = [
                fit.predict(models[name], of[name][test], test_time_augmentation=views)
                for name in ensemble.members
            ]
            answers[ensemble.id][test] = np.mean(members, axis=0)
    return answers


def _in_memory(name: str, sizes: Mapping[int, int], make: Callable[[int], np.ndarray]) -> Callable:
    return {part: make(part) for part in sizes}.__getitem__
