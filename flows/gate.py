"""The gate: may the model of this build take over from the released one?"""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from prefect import task

from fer_tasks.evaluation.gate import (
    Comparison,
    Decision,
    changes_of_test,
    compare_models,
    decide,
    decide_first,
    unseen_by,
)
from fer_tasks.labels import EXPRESSIONS
from fer_tasks.reports.gate_page import gate_page
from fer_tasks.settings import Gate
from fer_tasks.storage.dataset import Dataset, read_dataset
from fer_tasks.storage.ledger import KEPT, PROMOTED, UNCHANGED, Row
from fer_tasks.storage.model_folder import BadModelFolder, ModelFolder, read_model_folder
from fer_tasks.training.vote_labels import labels_of
from flows.asking import Unusable, fetch, milliseconds, predict
from flows.fetch_release import CLEAN, MODEL
from flows.registry import Registry, next_version

BY_HAND = "docs/operations.md says how to release this build by hand"


class Verdict(NamedTuple):
    """What the gate decided: a row of the ledger, and a page of Markdown."""

    row: Row
    page: str


class Judged(NamedTuple):
    """A decision, and what it was made on."""

    decision: Decision
    comparison: Comparison | None = None
    champion: ModelFolder | None = None
    changes: str = ""  # of the test split since the champion


class JudgedFaces(NamedTuple):
    """Today's test faces, what they show, and which of them the challenger names right."""

    clean: pd.DataFrame  # today's manifest
    faces: pd.DataFrame  # its rows of the test split
    y_true: np.ndarray  # (n,) int, indices into EXPRESSIONS
    right: np.ndarray  # (n,) bool

    def beside(self, rival: ModelFolder, learnt: pd.DataFrame) -> Comparison:
        """The challenger beside a model, on the faces that this has not learnt."""
        unseen = unseen_by(learnt, self.clean)[self.faces["row"]]
        rival_right = predict(rival, self.faces[unseen]) == self.y_true[unseen]
        return compare_models(self.right[unseen], rival_right)


@task(name="gate")
def judge(registry: Registry, settings: Gate) -> Verdict:
    """Compare models/best with the released model, and say whether it takes over. Nothing is written."""
    challenger, data = None, ""
    try:
        challenger = read_model_folder(MODEL)
        clean = read_dataset(CLEAN)
        data = clean.fingerprint
        judged = _judge(registry, challenger, clean, settings)
    except BadModelFolder as error:
        reason = f"the model of this build cannot be used: {error}"
        judged = Judged(Decision(False, "challenger_unusable", reason))
    except Unusable as error:
        judged = Judged(Decision(False, "champion_unusable", f"{error}; {BY_HAND}"))
    row = _row(registry, challenger, data, judged)
    figures = judged.comparison._asdict() if judged.comparison else None
    page = gate_page(row, figures, _shown(challenger), _shown(judged.champion), judged.changes)
    return Verdict(row, page)


def _judge(registry: Registry, challenger: ModelFolder, clean: Dataset, settings: Gate) -> Judged:
    """Raises Unusable if a released model cannot be asked."""
    champion, name = registry.champion, model_name(challenger.info)
    before = registry.former_models.get(name)
    if before and not (champion and champion.row.get("model") == name):
        again = f"`make rollback VERSION={before}` releases it"
        reason = f"this model was released before, as {before}: {again}"
        return Judged(Decision(False, "released_before", reason))
    if not champion:
        test = _test_faces(clean, challenger)
        most = np.bincount(test.y_true, minlength=len(EXPRESSIONS)).argmax()
        comparison = compare_models(test.right, test.y_true == most)
        return Judged(decide_first(comparison), comparison)
    released, learnt = fetch(champion)
    if model_name(released.info) == name:
        return Judged(Decision(False, UNCHANGED, f"this is {champion.version} itself"), champion=released)
    test = _test_faces(clean, challenger)
    comparison = test.beside(released, learnt)
    taken_back = []
    for former in registry.taken_back:
        with suppress(Unusable):  # perhaps the reason why it was taken back
            taken_back.append((former.version, test.beside(*fetch(former))))
    saving = _saving(challenger, released, settings)
    decision = decide(
        champion.version,
        comparison,
        taken_back,
        settings.equal,
        settings.max_loss,
        settings.min_saving,
        saving,
    )
    return Judged(decision, comparison, released, changes_of_test(learnt, test.clean))


def _test_faces(clean: Dataset, challenger: ModelFolder) -> JudgedFaces:
    """The test split, with labels of the kind that the challenger has learnt from."""
    faces = clean.manifest.assign(row=np.arange(len(clean.manifest)))
    faces = faces[faces["split"] == "test"]
    kind = challenger.info["figures"].get("validation", {}).get("labels", "own")
    soft, reasons = labels_of(faces, kind)
    faces, y_true = faces[reasons == ""], soft[reasons == ""].argmax(axis=1)
    return JudgedFaces(clean.manifest, faces, y_true, predict(challenger, faces) == y_true)


def _saving(challenger: ModelFolder, champion: ModelFolder, settings: Gate) -> float:
    """The share of size or time that the challenger saves."""
    if settings.equal == "keep":
        return 0.0
    cost = milliseconds if settings.equal == "quicker" else lambda model: len(model.onnx)
    return 1 - cost(challenger) / cost(champion)


def _shown(model: ModelFolder | None) -> dict[str, Any] | None:
    return {"name": model_name(model.info), "size": len(model.onnx)} if model else None


def _row(registry: Registry, challenger: ModelFolder | None, data: str, judged: Judged) -> Row:
    decision, comparison = judged.decision, judged.comparison
    figures = (
        {
            "faces": comparison.faces,
            "accuracy": comparison.accuracy,
            "champion_accuracy": comparison.rival_accuracy,
            "gain": comparison.gain,
            "gain_low": comparison.low,
            "gain_high": comparison.high,
            "p": comparison.p,
            "smallest_gain": comparison.smallest_gain,
        }
        if comparison
        else {}
    )
    return {
        "time": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "decision": PROMOTED if decision.promoted else KEPT,
        "outcome": decision.outcome,
        "version": next_version(registry) if decision.promoted else "",
        "model": model_name(challenger.info) if challenger else "",
        "champion": registry.champion.version if registry.champion else "",
        **{name: _short(value) for name, value in figures.items()},
        "data": data,
        "reason": decision.reason,
    }


def _short(value: float | int | None) -> str:
    return "" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)


def model_name(info: Mapping[str, Any]) -> str:
    """What the ledger calls a model."""
    return f"{info['name']}@{info['fingerprint']}"
