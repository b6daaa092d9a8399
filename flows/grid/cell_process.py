"""What runs in a cell's own process: from the features on disk to the bytes of a model."""

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import numpy as np
import pandas as pd

from fer_tasks.errors import UserError
from fer_tasks.labels import EXPRESSIONS
from fer_tasks.models import build_model
from fer_tasks.settings.training import Plan
from fer_tasks.storage import backbone_features, cells
from fer_tasks.storage.checkpoints import read_checkpoint, write_checkpoint
from fer_tasks.storage.dataset import read_dataset
from fer_tasks.storage.files import read_array
from fer_tasks.training import fit
from fer_tasks.training.epochs import TrainingFailed
from fer_tasks.training.feeding import Rows, choose_rows
from fer_tasks.training.history import history
from fer_tasks.training.state import Checkpoint
from fer_tasks.training.vote_labels import labels_of
from flows.grid.jobs import Job, Outcome


def fit_cell(job: Job, batch_size: int, send: Callable[[Any], None]) -> Outcome:
    """Train a cell, from its checkpoint if there is one; returns the model and the content of cell.json.

    If the loss becomes NaN or infinite, the model is that of the last good epoch and the status is `failed`.
    Sends {"rows": history so far} at the start, {"features": pictures done, "of": all pictures} while a
    frozen backbone's features are computed, then each row of the history.
    """
    cell = job.cell
    data = read_dataset(job.features / cell.recipe)
    x = read_array(data.root / "X.npy")
    arrays, left_out = _arrays(data.manifest, x, job)
    build = partial(build_model, cell.model, x.shape[1:], len(EXPRESSIONS), **cell.options)
    plan = cell.model_copy(update={"batch_size": batch_size})  # smaller than the cell's if memory is short
    info = {
        "features": data.fingerprint,
        "recipe": data.info["settings"]["steps"],
        "input_shape": list(x.shape[1:]),
        "labels": list(EXPRESSIONS),
        "prior": arrays.y_train.mean(axis=0, dtype=float).round(6).tolist(),
        "left_out": left_out,
        "batch_size": batch_size,
    }
    start = _read_checkpoint(job, batch_size)
    send({"rows": start.rows if start else []})
    save = partial(_write_checkpoint, job, batch_size)
    store = partial(
        backbone_features.ensure_parts,
        job.backbone_features,
        lambda done, rows: send({"features": done, "of": rows}),
    )
    try:
        fitted = fit.fit(build, arrays, plan, cell.seed, send, start, save, store)
    except TrainingFailed as error:
        last = _read_checkpoint(job, batch_size)
        return _last_good_epoch(last, build, plan, {**info, "status": "failed"}, str(error))
    best = fitted.history.set_index("epoch").loc[fitted.best_epoch]
    info |= {
        "status": "trained",
        "reason": "",
        "parameters": fitted.model.count_params(),
        "train_seconds": round(fitted.train_seconds, 1),
        "best_epoch": fitted.best_epoch,
        "val_accuracy": round(float(best["val_accuracy"]), 4),
        "val_loss": round(float(best["val_loss"]), 4),
    }
    return cells.Trained(fit.model_bytes(fitted.model), fitted.history), info


def _arrays(manifest: pd.DataFrame, x: np.ndarray, job: Job) -> tuple[fit.Arrays, dict[str, int]]:
    """What a cell learns from, and how many faces of train and val it leaves out, by reason."""
    cell, teacher = job.cell, job.teacher
    soft, reasons = labels_of(manifest, cell.labels)
    y = soft.argmax(axis=1)
    of_train, of_val = (manifest["split"].to_numpy() == split for split in ("train", "val"))
    good = reasons == ""
    train, val = np.flatnonzero(of_train & good), np.flatnonzero(of_val & good)
    if not len(train) or not len(val):
        raise UserError("labels: votes: no face of train or val has votes for an expression")
    teacher = None if teacher is None else teacher[good[of_train]]
    if cell.pictures:
        chosen = choose_rows(y[train], cell.pictures, cell.seed)
        train, teacher = train[chosen], None if teacher is None else teacher[chosen]
    left_out = pd.Series(reasons[(of_train | of_val) & ~good]).value_counts().to_dict()
    return fit.Arrays(Rows(x, train), soft[train], Rows(x, val), y[val], teacher), left_out


def _read_checkpoint(job: Job, batch_size: int) -> Checkpoint | None:
    stored = read_checkpoint(job.checkpoint, f"{job.fingerprint} {batch_size}")
    if not stored:
        return None
    info, arrays = stored
    return Checkpoint(info["rows"], info["seconds"], arrays)


def _write_checkpoint(job: Job, batch_size: int, checkpoint: Checkpoint) -> None:
    info = {"fingerprint": f"{job.fingerprint} {batch_size}", "rows": checkpoint.rows}
    write_checkpoint(job.checkpoint, {**info, "seconds": checkpoint.seconds}, checkpoint.arrays)


def _last_good_epoch(
    last: Checkpoint | None,
    build: Callable[[], keras.Model],
    plan: Plan,
    info: dict[str, Any],
    reason: str,
) -> Outcome:
    """The outcome of a cell that failed after the epoch of its last checkpoint, if it has one."""
    if not last:
        return None, {**info, "reason": reason}
    model = fit.last_epoch(build, plan, last, shared=True)
    trained = cells.Trained(fit.model_bytes(model), history(last.rows))
    return trained, {**info, "reason": f"{reason}; model.keras is that of epoch {last.epoch}"}
