"""What a teacher adds: each student beside its baseline, the same cell trained without a teacher."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from fer_tasks.evaluation import significance
from fer_tasks.storage import cells
from flows.grid.predictions import Predictions

SCORES = ["test_accuracy", "test_loss", "test_ece"]
COLUMNS = ["cell", "baseline", "teacher", *SCORES, *(f"baseline_{name}" for name in SCORES)]
COLUMNS += ["gain", "gain_low", "gain_high", "p", "differs"]


def distillation_gain(
    board: pd.DataFrame, predictions: Mapping[str, Predictions], models: Path
) -> pd.DataFrame:
    """Compare each student with its baseline, if that is trained: a row a student, with COLUMNS.

    SCORES are those of `board`; the gain is that of `significance.against`, its p adjusted by
    `significance.holm` for the number of rows.
    """
    infos = {cell: cells.read_cell(models / cell) for cell in predictions}
    networks = {cell: info for cell, info in infos.items() if not cells.is_ensemble(info)}
    baselines = {_shared(info): cell for cell, info in networks.items() if not info["settings"]["distil"]}
    scores, rows = board.set_index("cell")[SCORES], []
    for cell, info in networks.items():
        distilled, baseline = info["settings"]["distil"], baselines.get(_shared(info))
        if distilled and baseline:
            correct = {name: predictions[name].correct for name in (cell, baseline)}
            gain = significance.against(correct, baseline).iloc[0]
            of_baseline = scores.loc[baseline].add_prefix("baseline_")
            names = {"baseline": baseline, "teacher": distilled["teacher"]}
            rows.append({**gain, **scores.loc[cell], **of_baseline, **names})
    table = pd.DataFrame(rows, columns=COLUMNS)
    p = significance.holm(table["p"].to_numpy(float))
    return table.assign(p=p, differs=p < significance.LEVEL)


def _shared(info: Mapping[str, Any]) -> str:
    """The settings that a student and its baseline have in common."""
    settings = {k: v for k, v in info["settings"].items() if k not in ("id", "distil", "memory")}
    return json.dumps([settings, info["batch_size"]], sort_keys=True)
