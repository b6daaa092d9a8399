"""Did its teacher help a student? Each beside its twin: the same cell, trained without one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from fer_tasks import cells, evaluation, significance
from fer_tasks.settings import Report
from flows.grid.predictions import Answers

COLUMNS = ["cell", "twin", "teacher", "accuracy", "loss", "ece", "twin_accuracy", "twin_loss", "twin_ece"]
COLUMNS += ["gain", "gain_low", "gain_high", "p", "differs"]


def lessons(answers: Mapping[str, Answers], models: Path, wanted: Report) -> pd.DataFrame:
    """A row a student whose twin was trained, too: COLUMNS, the scores on the test split, and what
    `significance.against` says of the student against its twin, p by `holm` for as many as there are."""
    abouts = {cell: cells.read_cell(models / cell) for cell in answers}
    settings = {cell: about["settings"] for cell, about in abouts.items() if not cells.is_ensemble(about)}
    twins = {_rest(own): cell for cell, own in settings.items() if not own["distil"]}
    rows = [
        _lesson(cell, twins[_rest(own)], own["distil"]["teacher"], answers, wanted)
        for cell, own in settings.items()
        if own["distil"] and _rest(own) in twins
    ]
    table = pd.DataFrame(rows, columns=COLUMNS)
    p = significance.holm(table["p"].to_numpy(float))
    return table.assign(p=p, differs=p < significance.LEVEL)


def _rest(settings: Mapping[str, Any]) -> str:
    """What a student and its twin have in common."""
    return repr(sorted((k, v) for k, v in settings.items() if k not in ("id", "distil", "memory")))


def _lesson(
    cell: str, twin: str, teacher: str, answers: Mapping[str, Answers], wanted: Report
) -> dict[str, Any]:
    right = {name: answers[name].right for name in (cell, twin)}
    gain = significance.against(right, twin, wanted.bootstrap, wanted.seed).iloc[0]
    of_twin = {f"twin_{name}": score for name, score in _scores(answers[twin]).items()}
    return {**gain, **_scores(answers[cell]), **of_twin, "twin": twin, "teacher": teacher}


def _scores(found: Answers) -> dict[str, float]:
    ece = evaluation.expected_calibration_error(found.y_true, found.probabilities)
    return {**evaluation.scores(found.y_true, found.probabilities), "ece": ece}
