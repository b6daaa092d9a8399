"""Did its teacher help a student? Each beside its baseline: the same cell, trained without one."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from fer_tasks.evaluation import significance
from fer_tasks.storage import cells
from flows.grid.predictions import Answers

SCORES = ["test_accuracy", "test_loss", "test_ece"]
COLUMNS = ["cell", "baseline", "teacher", *SCORES, *(f"baseline_{name}" for name in SCORES)]
COLUMNS += ["gain", "gain_low", "gain_high", "p", "differs"]


def lessons(board: pd.DataFrame, answers: Mapping[str, Answers], models: Path) -> pd.DataFrame:
    """A row a student whose baseline was trained, too: COLUMNS, the SCORES of `board`, and what
    `significance.against` says of the student against its baseline, p by `holm` for as many as there are."""
    abouts = {cell: cells.read_cell(models / cell) for cell in answers}
    networks = {cell: about for cell, about in abouts.items() if not cells.is_ensemble(about)}
    baselines = {_rest(about): cell for cell, about in networks.items() if not about["settings"]["distil"]}
    scores, rows = board.set_index("cell")[SCORES], []
    for cell, about in networks.items():
        if (taught := about["settings"]["distil"]) and (baseline := baselines.get(_rest(about))):
            right = {name: answers[name].right for name in (cell, baseline)}
            gain = significance.against(right, baseline).iloc[0]
            of_baseline = scores.loc[baseline].add_prefix("baseline_")
            rows.append(
                {
                    **gain,
                    **scores.loc[cell],
                    **of_baseline,
                    "baseline": baseline,
                    "teacher": taught["teacher"],
                }
            )
    table = pd.DataFrame(rows, columns=COLUMNS)
    p = significance.holm(table["p"].to_numpy(float))
    return table.assign(p=p, differs=p < significance.LEVEL)


def _rest(about: Mapping[str, Any]) -> str:
    """What a student and its baseline have in common."""
    settings = {k: v for k, v in about["settings"].items() if k not in ("id", "distil", "memory")}
    return json.dumps([settings, about["batch_size"]], sort_keys=True)
