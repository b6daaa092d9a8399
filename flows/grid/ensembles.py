"""An ensemble of the grid: the weights of its members, fitted on validation, beside their plain mean."""

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from fer_tasks.evaluation import ensemble
from fer_tasks.evaluation.scores import scores
from fer_tasks.settings import Ensemble
from fer_tasks.storage import cells
from flows.engine.code import code_digest
from flows.grid.in_own_process import PREDICT_SPLIT
from flows.grid.memory_budget import machine_memory, reserve
from flows.grid.predictions import (
    CellQuery,
    PredictedSplit,
    Predictions,
    mean_predictions,
    predict_cells,
)

EnsembleFit = dict[str, dict[str, Any]]  # the content of cell.json for each weighting of the members

FITTED = "fitted on the validation pictures that it is measured on here"
# (members, n, 7) probabilities, (n,) true expressions, settings -> (members,) weights
WEIGHTINGS: dict[str, Callable[[np.ndarray, np.ndarray, Ensemble], np.ndarray]] = {
    "mean": lambda p, y, settings: ensemble.equal_weights(len(p)),
    "log_likelihood": lambda p, y, settings: ensemble.log_likelihood_weights(p, y, settings.ridge),
    "hinge": lambda p, y, settings: ensemble.hinge_weights(p, y, settings.margin, settings.ridge),
}


def ensemble_fingerprint(settings: Ensemble, members: Sequence[str]) -> str:
    """Changes with whatever could change the weights; `members` are the members' fingerprints."""
    code = code_digest(_fit, PREDICT_SPLIT, only={"VIEWS": [settings.test_time_augmentation]})
    parts = [settings.model_dump(), list(members), code]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


@task(task_run_name="{settings.id}", cache_policy=NO_CACHE, persist_result=False)
def fit_ensemble(settings: Ensemble, split: PredictedSplit, needed: float, memory: float) -> EnsembleFit:
    """Weight the members in every way that the settings name.

    `needed`: GB that the largest member needs. `memory`: the share of the machine's memory that cells may use
    side by side.

    Raises:
        UserError: a member is not trained.
    """
    queries = [CellQuery(member, settings.test_time_augmentation) for member in settings.members]
    with reserve(needed, memory * machine_memory(), get_run_logger().info):
        predictions = [*predict_cells(queries, split).values()]
    parameters = sum(cells.read_cell(split.models / query.cell)["parameters"] for query in queries)
    return {
        weighting: {**fit_weighting(weighting, settings, predictions), "parameters": parameters}
        for weighting in settings.ids
    }


def fit_weighting(weighting: str, settings: Ensemble, members: list[Predictions]) -> dict[str, Any]:
    """The content of cell.json for one weighting. If its solver fails, only this row is `failed`; the plain
    mean stands beside it."""
    try:
        return _fit(weighting, settings, members)
    except ArithmeticError as error:
        return {"status": "failed", "reason": str(error)}


def _fit(weighting: str, settings: Ensemble, members: list[Predictions]) -> dict[str, Any]:
    y_true = members[0].y_true
    probabilities = np.stack([member.probabilities for member in members])
    weights = WEIGHTINGS[weighting](probabilities, y_true, settings)
    scored = scores(y_true, mean_predictions(members, weights).probabilities)
    return {
        "status": "trained",
        "reason": "",
        "weights": dict(zip(settings.members, weights.tolist(), strict=True)),
        "val_accuracy": round(scored["accuracy"], 4),
        "val_loss": round(scored["loss"], 4),
        "note": _note(weighting, settings, weights),
    }


def _note(weighting: str, settings: Ensemble, weights: np.ndarray) -> str:
    if weighting == "mean":
        parts = [f"mean of {', '.join(settings.members)}"]
    else:
        terms = [f"{weight:.2f} {name}" for weight, name in zip(weights, settings.members, strict=True)]
        parts = [f"{' + '.join(terms)}, {FITTED}"]
    if settings.test_time_augmentation != "none":
        parts.append(f"test-time augmentation: {settings.test_time_augmentation}")
    return "; ".join(parts)
