"""Check that every cell can be built before the first one is trained."""

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import keras

from fer_tasks.errors import UserError
from fer_tasks.labels import EXPRESSIONS
from fer_tasks.models import BUILDERS, build_model
from fer_tasks.settings import Cell
from fer_tasks.storage.files import read_array
from fer_tasks.training import fit, frozen_backbone


def check_cells(cells: Sequence[Cell], features: Path, send: Callable[[Any], None]) -> list[str]:
    """Return one line for each cell that cannot be trained.

    Each different model is built once, without weights: missing weights fail only the cells that use them.
    """
    faults: dict[str, str] = {}
    lines = []
    for cell in cells:
        shape = read_array(features / cell.recipe / "X.npy").shape[1:]
        builder = BUILDERS.get(cell.model)
        takes_weights = builder and "weights" in inspect.signature(builder).parameters
        options = {**cell.options, **({"weights": "none"} if takes_weights else {})}
        key = repr((cell.model, shape, sorted(options.items()), bool(cell.fine_tune), bool(cell.views)))
        if key not in faults:
            faults[key] = _fault(partial(build_model, cell.model, shape, len(EXPRESSIONS), **options), cell)
        if faults[key]:
            lines.append(f"cell {cell.id}: {faults[key]}")
    return lines


def _fault(build: Callable[[], keras.Model], cell: Cell) -> str:
    """Why the cell cannot be trained, or ""."""
    try:
        model = build()
        if cell.views and not frozen_backbone.split_backbone(model):
            return f"views: {model.name} has no frozen backbone; leave them out"
        if cell.fine_tune:
            fit.unfreeze(model)
    except (UserError, TypeError, ValueError) as error:
        return str(error)
    finally:
        keras.utils.clear_session()
    return ""
