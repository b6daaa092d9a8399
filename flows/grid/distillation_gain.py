"""Did its teacher help a student? Each beside its twin: the same cell, trained without one."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from fer_tasks.evaluation import significance
from fer_tasks.storage import cells
from flows.grid.predictions import Answers

SCORES = ["test_accuracy", "test_loss", "test_ece"]
COLUMNS = ["cell", "twin", "teacher", *SCORES, *(f"twin_{name}" for name in SCORES)]
COLUMNS += ["gain", "gain_low", "gain_high", "p", "differs"]


def lessons(board: pd.DataFrame, answers: Mapping[str, Answers], models: Path) -> pd.DataFrame:
    """A row a student whose twin was trained, too: COLUMNS, the SCORES of `board`, and what
    `significance.against` says of the student against its twin, p by `holm` for as many as there are."""
    abouts = {cell: cells.read_cell(models / cell) for cell in answers}
    networks = {cell: about for cell, about in abouts.items() if not cells.is_ensemble(about)}
    twins = {_rest(about): cell for cell, about in networks.items() if not about["settings"]["distil"]}
    scores, rows = board.set_index("cell")[SCORES], []
    for cell, about in networks.items():
        if (taught := about["settings"]["distil"]) and (twin := twins.get(_rest(about))):
            right = {name: answers[name].right for name in (cell, twin)}
            gain = significance.against(right, twin).iloc[0]
            of_twin = scores.loc[twin].add_prefix("twin_")
            rows.append({**gain, **scores.loc[cell], **of_twin, "twin": twin, "teacher": taught["teacher"]})
    table = pd.DataFrame(rows, columns=COLUMNS)
    p = significance.holm(table["p"].to_numpy(float))
    return table.assign(p=p, differs=p < significance.LEVEL)


def _rest(about: Mapping[str, Any]) -> str:
    """What a student and its twin have in common."""
    settings = {k: v for k, v in about["settings"].items() if k not in ("id", "distil", "memory")}
    return json.dumps([settings, about["batch_size"]], sort_keys=True)
