"""Fingerprints of cells, ensembles and shared features: equal fingerprints, equal weights."""

import hashlib
import json
from collections.abc import Mapping
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from fer_tasks.settings import Cell, Grid
from fer_tasks.storage.dataset import Dataset
from fer_tasks.storage.model_folder import BACKBONE, KERAS, PRETRAINED
from flows.engine.code import code_digest
from flows.grid.ensembles import ensemble_fingerprint
from flows.grid.entries import entries
from flows.grid.in_own_process import BACKBONE_FEATURES, BUILD_MODEL, FIT_CELL, PREDICT_SPLIT
from flows.grid.predictions import empty_split_error, mean_predictions, members_of


def grid_fingerprints(
    grid: Grid, cells: Mapping[str, Cell], features: Mapping[str, Dataset], threads: int
) -> dict[str, str]:
    """{id: fingerprint} of each cell and ensemble; it includes those of its teacher or members.

    `cells`: by id. `features`: by recipe.

    Raises:
        UserError: the train or val split is empty.
    """
    ensembles, fingerprints = {ensemble.id: ensemble for ensemble in grid.ensembles}, {}
    for name in TopologicalSorter(grid.needs).static_order():
        needed = [fingerprints[i] for i in sorted(grid.needs[name])]
        if name in ensembles:
            fingerprints[name] = ensemble_fingerprint(ensembles[name], needed)
        else:
            fingerprints[name] = _of_cell(cells[name], features[cells[name].recipe], threads, needed)
    return fingerprints


def features_group(cell: Cell, data: Dataset, threads: int) -> str:
    """The folder of backbone features that a cell shares with others; kept while one of them waits."""
    code = code_digest(BACKBONE_FEATURES, BUILD_MODEL, only=entries(cell.model_dump()))
    digest = _digest([data.fingerprint, threads, weights_digest(cell.options), code])
    return f"{cell.recipe}-{cell.options.get('backbone', cell.model)}-{cell.augmentation}-{digest[:8]}"


def weights_digest(options: Mapping[str, Any]) -> str:
    """The SHA-256, in hexadecimal, of the file that a model's options take weights from; "" if there is none:
    that of `backbone: pretrained`, or the one that `weights` names."""
    named = Path(str(options.get("weights", "")))
    weights = PRETRAINED / KERAS if options.get("backbone") == BACKBONE else named
    return hashlib.sha256(weights.read_bytes()).hexdigest() if weights.is_file() else ""


def _of_cell(cell: Cell, data: Dataset, threads: int, teacher: list[str]) -> str:
    """Changes with whatever could change the cell's weights."""
    for split in ("train", "val"):
        if split not in set(data.manifest["split"]):
            raise empty_split_error(split)
    settings, weights = cell.model_dump(exclude={"memory"}), weights_digest(cell.options)
    teaching = [PREDICT_SPLIT, members_of, mean_predictions] if cell.distil else []
    code = code_digest(FIT_CELL, *teaching, only=entries(settings))
    return _digest([settings, data.fingerprint, threads, weights, code, teacher])


def _digest(parts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
