"""data/features -> models/<cell>: the grid, each cell a task that trains in a process of its own."""

import base64
import hashlib
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from prefect import flow, get_run_logger, task
from prefect.artifacts import create_image_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.futures import as_completed

from fer_tasks import cells, models, plots, training
from fer_tasks.dataset import read_array, read_dataset
from fer_tasks.errors import UserError
from fer_tasks.labels import EXPRESSIONS
from fer_tasks.models import build_model, check_model
from fer_tasks.settings import Cell, Settings, load_grid
from fer_tasks.training import fit, isolation
from flows.caching import code_digest, weights_digest
from flows.fan_out import Progress
from flows.stage import run_stage

CODE = code_digest(models, training)
Outcome = tuple[cells.Trained, dict[str, Any]]


@task(task_run_name="{cell.id}", cache_policy=NO_CACHE, persist_result=False)
def train_cell(cell: Cell, threads: int, features: Path) -> Outcome:
    with Progress(artifact_key(f"train-{cell.id}"), cell.epochs) as progress:
        return isolation.call_in_own_process(
            fit_cell, cell, features, threads=threads, on_message=lambda row: progress.update(1)
        )


def fit_cell(cell: Cell, features: Path, send: Callable[[Any], None]) -> Outcome:
    """What the cell's process does: from the features on disk to the bytes of a model."""
    data = read_dataset(features / cell.recipe)
    x = read_array(data.root / "X.npy")
    y = data.manifest["label"].map(EXPRESSIONS.index).to_numpy()
    train, val = (np.flatnonzero(data.manifest["split"] == split) for split in ("train", "val"))
    build = partial(build_model, cell.model, x.shape[1:], len(EXPRESSIONS), **cell.options)
    schedule = fit.Schedule(cell.optimizer, cell.learning_rate, cell.epochs, cell.batch_size)
    fitted = fit.fit(build, fit.Arrays(x[train], y[train], x[val], y[val]), schedule, cell.seed, send)
    best = fitted.history.set_index("epoch").loc[fitted.best_epoch]
    about = {
        "recipe": data.info["settings"]["steps"],
        "input_shape": list(x.shape[1:]),
        "labels": list(EXPRESSIONS),
        "parameters": fitted.model.count_params(),
        "train_seconds": round(fitted.train_seconds, 1),
        "best_epoch": fitted.best_epoch,
        "val_accuracy": round(float(best["val_accuracy"]), 4),
        "val_loss": round(float(best["val_loss"]), 4),
    }
    return cells.Trained(fit.model_bytes(fitted.model), fitted.history), about


@flow(name="train")
def train(settings: Settings, source: Path = Path("data/features"), target: Path = Path("models")) -> None:
    grid = {cell.id: cell for cell in load_grid(settings.train.grid).cells}
    prints = {cell.id: _fingerprint(cell, source, settings.train.threads) for cell in grid.values()}
    if dropped := cells.drop_other_cells(target, grid):
        get_run_logger().info(f"no longer in the grid, removed: {', '.join(dropped)}")
    done = [i for i in grid if cells.is_trained(target / i, prints[i])]
    get_run_logger().info(
        f"grid {settings.train.grid}: {len(grid)} cells, {len(done)} of them trained already"
    )
    futures = {
        train_cell.submit(cell, settings.train.threads, source): cell
        for cell in grid.values()
        if cell.id not in done
    }
    for future in as_completed(list(futures)):
        future.wait()  # a future of as_completed may not know its final state yet
        cell = futures[future]
        _keep(future.result(raise_on_failure=False), cell, prints[cell.id], target / cell.id)
        _show_leaderboard(grid, target)
    _choose_best(grid, target)


def _fingerprint(cell: Cell, source: Path, threads: int) -> str:
    """Changes with whatever could change the cell's weights."""
    if not (source / cell.recipe).is_dir():
        known = sorted(folder.name for folder in source.iterdir())
        raise UserError(f"cell {cell.id}: no recipe {cell.recipe!r} in params.yaml; choose one of {known}")
    check_model(cell.model, cell.options)
    data = read_dataset(source / cell.recipe)
    for split in ("train", "val"):
        if split not in set(data.manifest["split"]):
            raise UserError(
                f"there is no picture in the {split} split; add pictures or change clean.{split}_share"
            )
    parts = [cell.model_dump(), data.fingerprint, threads, weights_digest(cell.options), CODE]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _keep(outcome: Outcome | Exception, cell: Cell, fingerprint: str, folder: Path) -> None:
    about = {"cell": cell.id, "settings": cell.model_dump(), "fingerprint": fingerprint}
    if isinstance(outcome, Exception):
        get_run_logger().error(f"cell {cell.id} failed: {outcome}")
        cells.write_cell(folder, {**about, "status": "failed", "reason": str(outcome)}, None)
        return
    trained, measured = outcome
    cells.write_cell(folder, {**about, "status": "trained", "reason": "", **measured}, trained)
    figures = f"validation accuracy {measured['val_accuracy']:.4f} (epoch {measured['best_epoch']})"
    get_run_logger().info(f"cell {cell.id}: {figures}, {measured['train_seconds']:.0f} s")
    picture = base64.b64encode(plots.learning_curves({cell.id: trained.history})).decode()
    url = f"data:image/png;base64,{picture}"
    create_image_artifact(url, key=artifact_key(f"curves-{cell.id}"), description=f"{cell.id}: {figures}")


def _show_leaderboard(grid: dict[str, Cell], target: Path) -> None:
    board = cells.leaderboard(target, list(grid))
    create_table_artifact(board.astype(object).where(board.notna(), "").to_dict("records"), key="leaderboard")


def _choose_best(grid: dict[str, Cell], target: Path) -> None:
    board = cells.leaderboard(target, list(grid))
    trained = board[board["status"] == "trained"]
    failed = len(board) - len(trained)
    if trained.empty:
        raise UserError(f"all {failed} cells failed; the first: {board['reason'].iloc[0]}")
    if failed:
        again = "`dvc repro --force --single-item train` tries them again"
        get_run_logger().warning(f"{failed} of {len(board)} cells failed; {again}")
    best = trained["cell"].iloc[0]
    cells.write_best(target, best)
    get_run_logger().info(f"best on validation: {best}, {trained['val_accuracy'].iloc[0]:.4f}")


def artifact_key(name: str) -> str:
    """Prefect's keys hold lower-case letters, digits and dashes."""
    return "".join(c if c.isalnum() else "-" for c in name.lower())


if __name__ == "__main__":
    run_stage(train, workers=lambda settings: settings.train.workers)
