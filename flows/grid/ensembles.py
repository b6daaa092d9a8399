"""An ensemble of the grid: the weights of its members, fitted on validation, beside their plain mean."""

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from fer_tasks.evaluation import ensemble, scores
from fer_tasks.settings import Ensemble
from fer_tasks.storage import cells
from flows.engine.code import code_digest
from flows.grid.memory_budget import machine_memory, reserve
from flows.grid.predictions import Answers, Asked, Split, ask, mean_answer, predict_split

Weighed = dict[str, dict[str, Any]]  # what there is to say of an ensemble, by way to weight its members

FITTED = "fitted on the validation pictures that it is measured on here"
WEIGHTS: dict[str, Callable[[np.ndarray, np.ndarray, Ensemble], np.ndarray]] = {
    "mean": lambda said, y, wanted: ensemble.equal_weights(len(said)),
    "log_likelihood": lambda said, y, wanted: ensemble.log_likelihood_weights(said, y, wanted.ridge),
    "hinge": lambda said, y, wanted: ensemble.hinge_weights(said, y, wanted.margin, wanted.ridge),
}


def fingerprint(wanted: Ensemble, members: Sequence[str]) -> str:
    """Changes with whatever could change the weights; `members`: the fingerprints of theirs."""
    code = code_digest(_weigh, predict_split, only={"VIEWS": [wanted.test_time_augmentation]})
    parts = [wanted.model_dump(), list(members), code]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


@task(task_run_name="{wanted.id}", cache_policy=NO_CACHE, persist_result=False)
def fit_ensemble(wanted: Ensemble, split: Split, needed: float, memory: float) -> Weighed:
    """`needed`: GB, of the largest member; `memory`: the share of its machine's that cells may use side by
    side. Raises UserError where a member is not trained."""
    with reserve(needed, memory * machine_memory(), get_run_logger().info):
        said = ask([Asked(member, wanted.test_time_augmentation) for member in wanted.members], split)
    weighed = {way: _weigh_or_say(way, wanted, [*said.values()]) for way in wanted.ids}
    parameters = sum(cells.read_cell(split.models / one.cell)["parameters"] for one in said)
    return {way: {**about, "parameters": parameters} for way, about in weighed.items()}


def _weigh_or_say(way: str, wanted: Ensemble, members: list[Answers]) -> dict[str, Any]:
    """Weights that a solver does not find are one row's failure; the plain mean stands beside it."""
    try:
        return _weigh(way, wanted, members)
    except ArithmeticError as error:
        return {"status": "failed", "reason": str(error)}


def _weigh(way: str, wanted: Ensemble, members: list[Answers]) -> dict[str, Any]:
    y_true = members[0].y_true
    weights = WEIGHTS[way](np.stack([member.probabilities for member in members]), y_true, wanted)
    scored = scores(y_true, mean_answer(members, weights).probabilities)
    return {
        "status": "trained",
        "reason": "",
        "weights": dict(zip(wanted.members, weights.tolist(), strict=True)),
        "val_accuracy": round(scored["accuracy"], 4),
        "val_loss": round(scored["loss"], 4),
        "note": _note(way, wanted, weights),
    }


def _note(way: str, wanted: Ensemble, weights: np.ndarray) -> str:
    shares = " + ".join(f"{w:.2f} {member}" for w, member in zip(weights, wanted.members, strict=True))
    parts = [f"mean of {', '.join(wanted.members)}" if way == "mean" else f"{shares}, {FITTED}"]
    if wanted.test_time_augmentation != "none":
        parts.append(f"test-time augmentation: {wanted.test_time_augmentation}")
    return "; ".join(parts)
