"""What a cell, an ensemble and shared features depend on: equal prints, equal weights."""

import hashlib
import json
from collections.abc import Mapping
from graphlib import TopologicalSorter
from typing import Any

from fer_tasks.models import build_model, check_model
from fer_tasks.settings import Cell, Grid
from fer_tasks.storage.dataset import Dataset
from fer_tasks.training import frozen_backbone
from flows.engine.caching import weights_digest
from flows.engine.code import code_digest
from flows.grid import ensembles
from flows.grid.cell_process import fit_cell
from flows.grid.entries import entries
from flows.grid.predictions import empty_split, mean_answer, members_of, predict_split


def fingerprints(
    grid: Grid, chosen: Mapping[str, Cell], features: Mapping[str, Dataset], threads: int
) -> dict[str, str]:
    """Of each cell and ensemble; that of what it is made of is part of it. `features`: by recipe.

    Raises UserError for a model that there is not, and for splits without pictures.
    """
    weighed, prints = {ensemble.id: ensemble for ensemble in grid.ensembles}, {}
    for name in TopologicalSorter(grid.needs).static_order():
        needed = [prints[i] for i in sorted(grid.needs[name])]
        if name in weighed:
            prints[name] = ensembles.fingerprint(weighed[name], needed)
        else:
            prints[name] = _of_cell(chosen[name], features[chosen[name].recipe], threads, needed)
    return prints


def features_group(cell: Cell, data: Dataset, threads: int) -> str:
    """The folder of the features that a cell shares with others: kept as long as one of them waits."""
    code = code_digest(frozen_backbone.batches, build_model, only=entries(cell.model_dump()))
    digest = _digest([data.fingerprint, threads, code])
    return f"{cell.recipe}-{cell.options.get('backbone', cell.model)}-{cell.augmentation}-{digest[:8]}"


def _of_cell(cell: Cell, data: Dataset, threads: int, teacher: list[str]) -> str:
    """Changes with whatever could change the cell's weights."""
    check_model(cell.model, cell.options)
    for split in ("train", "val"):
        if split not in set(data.manifest["split"]):
            raise empty_split(split)
    settings, weights = cell.model_dump(exclude={"memory"}), weights_digest(cell.options)
    taught_by = [predict_split, members_of, mean_answer] if cell.distil else []
    code = code_digest(fit_cell, *taught_by, only=entries(settings))
    return _digest([settings, data.fingerprint, threads, weights, code, teacher])


def _digest(parts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
