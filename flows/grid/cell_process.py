"""What the process of a cell does: from the features on disk to the bytes of a model."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from fer_tasks.labels import EXPRESSIONS
from fer_tasks.models import build_model
from fer_tasks.settings import Cell
from fer_tasks.settings.training import Plan
from fer_tasks.storage import backbone_features, cells
from fer_tasks.storage.checkpoints import read_checkpoint, write_checkpoint
from fer_tasks.storage.dataset import read_dataset
from fer_tasks.storage.files import read_array
from fer_tasks.training import fit
from fer_tasks.training.epochs import TrainingFailed
from fer_tasks.training.feeding import Rows, choose_rows
from fer_tasks.training.state import Checkpoint

Outcome = tuple[cells.Trained | None, dict[str, Any]]


class Job(NamedTuple):
    """A cell, and where its files are."""

    cell: Cell
    fingerprint: str
    features: Path
    checkpoint: Path
    shared: Path  # the folder of what its frozen backbone makes of pictures, if it has one
    teacher: np.ndarray | None = None  # (n, 7): what its teacher says of the train split


def fit_cell(job: Job, batch_size: int, send: Callable[[Any], None]) -> Outcome:
    """Train a cell, from its checkpoint if there is one. If the loss becomes NaN or infinite, return the last
    good epoch.

    Sends {"rows": its epochs so far} when it begins, {"features": pictures, "of": pictures} while a frozen
    backbone's features are computed, then each row of the history.
    """
    cell = job.cell
    data = read_dataset(job.features / cell.recipe)
    x = read_array(data.root / "X.npy")
    build = partial(build_model, cell.model, x.shape[1:], len(EXPRESSIONS), **cell.options)
    plan = cell.model_copy(
        update={"batch_size": batch_size}
    )  # less than the cell asks for, if memory is short
    about = {
        "features": data.fingerprint,
        "recipe": data.info["settings"]["steps"],
        "input_shape": list(x.shape[1:]),
        "labels": list(EXPRESSIONS),
        "batch_size": batch_size,
    }
    start = _read(job, batch_size)
    send({"rows": start.rows if start else []})
    save = partial(_write, job, batch_size)
    store = partial(
        backbone_features.ensure_parts, job.shared, lambda ready, rows: send({"features": ready, "of": rows})
    )
    try:
        fitted = fit.fit(build, _arrays(data.manifest, x, job), plan, cell.seed, send, start, save, store)
    except TrainingFailed as error:
        return _left_over(_read(job, batch_size), build, plan, {**about, "status": "failed"}, str(error))
    best = fitted.history.set_index("epoch").loc[fitted.best_epoch]
    about |= {
        "status": "trained",
        "reason": "",
        "parameters": fitted.model.count_params(),
        "train_seconds": round(fitted.train_seconds, 1),
        "best_epoch": fitted.best_epoch,
        "val_accuracy": round(float(best["val_accuracy"]), 4),
        "val_loss": round(float(best["val_loss"]), 4),
    }
    return cells.Trained(fit.model_bytes(fitted.model), fitted.history), about


def _arrays(manifest: Any, x: np.ndarray, job: Job) -> fit.Arrays:
    cell, teacher = job.cell, job.teacher
    y = manifest["label"].map(EXPRESSIONS.index).to_numpy()
    train, val = (np.flatnonzero(manifest["split"] == split) for split in ("train", "val"))
    if cell.pictures:
        chosen = choose_rows(y[train], cell.pictures, cell.seed)
        train, teacher = train[chosen], None if teacher is None else teacher[chosen]
    return fit.Arrays(Rows(x, train), y[train], Rows(x, val), y[val], teacher)


def _read(job: Job, batch_size: int) -> Checkpoint | None:
    found = read_checkpoint(job.checkpoint, f"{job.fingerprint} {batch_size}")
    return Checkpoint(found[0]["rows"], found[0]["seconds"], found[1]) if found else None


def _write(job: Job, batch_size: int, checkpoint: Checkpoint) -> None:
    about = {"fingerprint": f"{job.fingerprint} {batch_size}", "rows": checkpoint.rows}
    write_checkpoint(job.checkpoint, {**about, "seconds": checkpoint.seconds}, checkpoint.arrays)


def _left_over(
    last: Checkpoint | None,
    build: Callable[[], keras.Model],
    plan: Plan,
    about: dict[str, Any],
    reason: str,
) -> Outcome:
    """The last good epoch of a cell that failed."""
    if not last:
        return None, {**about, "reason": reason}
    model = fit.last_epoch(build, plan, last, shared=True)
    trained = cells.Trained(fit.model_bytes(model), fit.history(last.rows))
    return trained, {**about, "reason": f"{reason}; model.keras is that of epoch {last.epoch}"}
