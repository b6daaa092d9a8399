"""data/features -> models/<cell>: the grid, each cell a task that trains in a process of its own, and the
ensembles of cells. What is made of others waits for them."""

import base64
import hashlib
import json
import time
from collections.abc import Callable, Mapping
from graphlib import TopologicalSorter
from pathlib import Path

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_image_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture

from fer_tasks import cells, models, plots, training
from fer_tasks.checkpoints import drop_checkpoint, drop_other_checkpoints
from fer_tasks.dataset import read_dataset
from fer_tasks.errors import UserError
from fer_tasks.models import check_model
from fer_tasks.settings import Cell, Ensemble, Grid, Settings, cells_of_size, load_grid
from fer_tasks.training.isolation import call_in_own_process, sparing_memory
from flows.caching import code_digest, weights_digest
from flows.cell_process import Job, Outcome, check_cells, fit_cell
from flows.ensembles import Weighed, fingerprint, fit_ensemble
from flows.fan_out import Progress, in_order
from flows.memory import machine_memory, reserve
from flows.predictions import Split, answers, read_manifest
from flows.stage import run_stage

CODE = code_digest(models, training)


@task(task_run_name="{job.cell.id}", cache_policy=NO_CACHE, persist_result=False)
def train_cell(job: Job, target: Path, threads: int, memory: float) -> Outcome:
    """`memory`: the share of its machine's that cells may use side by side."""
    cell, log = job.cell, get_run_logger().getChild("cells")
    log.setLevel("INFO")  # a line an epoch is wanted here

    def say(text: str) -> None:
        log.info(f"{cell.id}: {text}")

    with Progress(artifact_key(f"train-{cell.id}"), cell.all_epochs) as progress:
        show = _watch(cell.all_epochs, progress, say)

        def train(batch_size: int) -> Outcome:
            return call_in_own_process(fit_cell, job, batch_size, threads=threads, on_message=show)

        with reserve(cell.memory, memory * machine_memory(), say):
            if cell.distil:
                split = Split("train", target, job.features, threads)
                taught = answers([cell.distil.teacher], split)[cell.distil.teacher]
                job = job._replace(teacher=taught.probabilities)
            (trained, about), batch_size = sparing_memory(train, cell.batch_size, say)
    notes = [f"taught by {cell.distil.teacher}"] if cell.distil else []
    if batch_size != cell.batch_size:
        notes.append(f"out of memory at batch size {cell.batch_size}: trained at {batch_size}")
    return trained, {**about, "note": "; ".join(notes)}


def _watch(epochs: int, progress: Progress, say: Callable[[str], None]) -> Callable[[dict[str, float]], None]:
    """Shows and says what `fit_cell` sends."""
    after, began = 0.0, time.monotonic()

    def show(message: dict[str, float]) -> None:
        nonlocal after, began
        if "after" in message:
            after, began = message["after"], time.monotonic()
            say(f"goes on after epoch {after}" if after else "begins")
            return progress.reach(int(after), epochs)
        epoch = message["epoch"]
        left = (time.monotonic() - began) / (epoch - after) * (epochs - epoch)
        text = "loss {loss:.3f}, accuracy {accuracy:.3f}, validation {val_accuracy:.3f}".format(**message)
        say(f"epoch {epoch} of {epochs}: {text}, {left:.0f} s left")
        progress.set_postfix_str(f"{text}, {left:.0f} s left", refresh=False)
        progress.reach(int(epoch), epochs)

    return show


@flow(name="train")
def train(
    settings: Settings,
    source: Path = Path("data/features"),
    target: Path = Path("models"),
    checkpoints: Path = Path(".cache/checkpoints"),
) -> None:
    wanted, grid = settings.train, load_grid(settings.train.grid)
    chosen = {cell.id: cell for cell in cells_of_size(grid, wanted.size)}
    ensembles = {ensemble.id: ensemble for ensemble in grid.ensembles}
    prints = _fingerprints(grid, chosen, source, wanted.threads)
    read_manifest({cell.recipe for cell in chosen.values()}, source)  # who learns of another sees the same
    if dropped := cells.drop_other_cells(target, grid.ids):
        get_run_logger().info(f"no longer in the grid, removed: {', '.join(dropped)}")
    drop_other_checkpoints(checkpoints, chosen)
    done = {i for i in chosen if cells.is_trained(target / i, prints[i])}
    get_run_logger().info(f"grid {wanted.grid}: {len(chosen)} cells, {len(done)} of them trained already")
    jobs = {i: Job(chosen[i], prints[i], source, checkpoints / f"{i}.npz") for i in chosen if i not in done}
    _check([job.cell for job in jobs.values()], source)

    def begin(name: str) -> PrefectFuture | None:
        if name in jobs:
            return train_cell.submit(jobs[name], target, wanted.threads, wanted.memory)
        if name in done or all(
            cells.is_trained(target / i, prints[name]) for i in ensembles[name].ids.values()
        ):
            return None
        memory = max(chosen[member].memory for member in ensembles[name].members)
        split = Split("val", target, source, wanted.threads)
        return fit_ensemble.submit(ensembles[name], split, memory, wanted.memory)

    for name, future in in_order(grid.needs, begin):
        outcome = future.result(raise_on_failure=False)
        if name in jobs:
            _keep(outcome, jobs[name], target)
        else:
            _keep_ensemble(outcome, ensembles[name], prints[name], target)
        _show_leaderboard(grid, target)
    _choose_best(grid, target)


def _fingerprints(grid: Grid, chosen: Mapping[str, Cell], source: Path, threads: int) -> dict[str, str]:
    """Of each cell and ensemble; that of what it is made of is part of it."""
    ensembles, prints = {ensemble.id: ensemble for ensemble in grid.ensembles}, {}
    for name in TopologicalSorter(grid.needs).static_order():
        needed = [prints[i] for i in sorted(grid.needs[name])]
        if name in ensembles:
            prints[name] = fingerprint(ensembles[name], needed)
        else:
            prints[name] = _fingerprint(chosen[name], source, threads, needed)
    return prints


def _fingerprint(cell: Cell, source: Path, threads: int, teacher: list[str]) -> str:
    """Changes with whatever could change the cell's weights."""
    check_model(cell.model, cell.options)
    data = read_dataset(source / cell.recipe)
    for split in ("train", "val"):
        if split not in set(data.manifest["split"]):
            raise UserError(
                f"there is no picture in the {split} split; add pictures or change clean.{split}_share"
            )
    settings, weights = cell.model_dump(exclude={"memory"}), weights_digest(cell.options)
    parts = [settings, data.fingerprint, threads, weights, CODE, teacher]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _check(chosen: list[Cell], source: Path) -> None:
    """Refuse what cannot be trained before anything is."""
    if not chosen:
        return
    trouble = call_in_own_process(check_cells, chosen, source, threads=1, on_message=lambda message: None)
    if trouble:
        raise UserError("\n".join(trouble))


def _keep(outcome: Outcome | Exception, job: Job, target: Path) -> None:
    cell, folder = job.cell, target / job.cell.id
    about = {"cell": cell.id, "settings": cell.model_dump(), "fingerprint": job.fingerprint}
    if isinstance(outcome, Exception):
        outcome = None, {"status": "failed", "reason": str(outcome)}
    trained, said = outcome
    cells.write_cell(folder, {**about, **said}, trained)
    if said["status"] == "failed":
        get_run_logger().error(f"cell {cell.id} failed: {said['reason']}")
        return
    drop_checkpoint(job.checkpoint)
    figures = f"validation accuracy {said['val_accuracy']:.4f} (epoch {said['best_epoch']})"
    get_run_logger().info(f"cell {cell.id}: {figures}, {said['train_seconds']:.0f} s")
    picture = base64.b64encode(plots.learning_curves({cell.id: trained.history})).decode()
    url = f"data:image/png;base64,{picture}"
    create_image_artifact(url, key=artifact_key(f"curves-{cell.id}"), description=f"{cell.id}: {figures}")


def _keep_ensemble(outcome: Weighed | Exception, wanted: Ensemble, fingerprint: str, target: Path) -> None:
    if isinstance(outcome, Exception):
        get_run_logger().error(f"ensemble {wanted.id} failed: {outcome}")
        outcome = {way: {"status": "failed", "reason": str(outcome)} for way in wanted.ids}
    for way, name in wanted.ids.items():
        about = {"cell": name, "settings": wanted.model_dump(), "fingerprint": fingerprint}
        cells.write_cell(target / name, {**about, **outcome[way]}, None)
        if outcome[way]["status"] == "trained":
            figures = "validation accuracy {val_accuracy:.4f}, {note}".format(**outcome[way])
            get_run_logger().info(f"ensemble {name}: {figures}")


def _show_leaderboard(grid: Grid, target: Path) -> None:
    board = cells.leaderboard(target, grid.ids)
    create_table_artifact(board.astype(object).where(board.notna(), "").to_dict("records"), key="leaderboard")


def _choose_best(grid: Grid, target: Path) -> None:
    """models/best is a single network: one file, and as quick as a cell."""
    board = cells.networks(cells.leaderboard(target, grid.ids))
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
