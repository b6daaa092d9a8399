"""Check that every cell can be built before the first one is trained."""

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from fer_tasks.errors import UserError
from fer_tasks.labels import EXPRESSIONS
from fer_tasks.models import BUILDERS, build_model
from fer_tasks.models.backbones import reusing_backbones
from fer_tasks.settings import Cell
from fer_tasks.storage.dataset import read_dataset
from fer_tasks.storage.files import read_array
from fer_tasks.storage.model_folder import BACKBONE
from fer_tasks.training import fit, frozen_backbone
from fer_tasks.training.vote_labels import has_votes

NO_VOTES = (
    "labels: votes: the source has no votes; put FER+'s table beside its pictures, or set `labels: own`"
)
RESCALED = "backbone pretrained takes values 0..255, and recipe {} gives 0..1: leave out `rescale`"


class _Faults(NamedTuple):
    """Why a model cannot be built, and why it takes no `views` and no `fine_tune`; "" where it can."""

    build: str = ""
    views: str = ""
    fine_tune: str = ""


@reusing_backbones()
def check_cells(cells: Sequence[Cell], features: Path, send: Callable[[Any], None]) -> list[str]:
    """Return one line for each cell that cannot be trained.

    Each model and each backbone is built once, without weights to download: where they are missing, only the
    cells that use them fail.
    """
    faults: dict[str, _Faults] = {}
    lines = []
    for cell in cells:
        x = read_array(features / cell.recipe / "X.npy")
        shape = x.shape[1:]
        builder = BUILDERS.get(cell.model)
        takes_weights = builder and "weights" in inspect.signature(builder).parameters
        takes_weights = takes_weights and cell.options.get("backbone") != BACKBONE  # whose are here
        options = {**cell.options, **({"weights": "none"} if takes_weights else {})}
        key = repr((cell.model, shape, sorted(options.items())))
        if key not in faults:
            faults[key] = _faults(partial(build_model, cell.model, shape, len(EXPRESSIONS), **options))
        of_model = faults[key]
        fault = of_model.build or (cell.views and of_model.views) or (cell.fine_tune and of_model.fine_tune)
        if not fault and cell.options.get("backbone") == BACKBONE and x.dtype != np.uint8:
            fault = RESCALED.format(cell.recipe)
        votes = cell.labels == "votes" and not fault
        if votes and not has_votes(read_dataset(features / cell.recipe).manifest):
            fault = NO_VOTES
        if fault:
            lines.append(f"cell {cell.id}: {fault}")
    return lines


def _faults(build: Callable[[], keras.Model]) -> _Faults:
    try:
        model = build()
        has_features = frozen_backbone.split_backbone(model)
        views = "" if has_features else f"views: {model.name} has no frozen backbone; leave them out"
        fit.unfreeze(model)
    except fit.NoBackbone as error:
        return _Faults("", views, str(error))
    except (UserError, TypeError, ValueError) as error:
        return _Faults(str(error))
    finally:
        keras.utils.clear_session(free_memory=False)
    return _Faults("", views)
