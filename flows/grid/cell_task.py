"""A cell as a task: trained in a process of its own within the memory there is, watched, and logged."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from fer_tasks.settings import Cell, Train
from fer_tasks.storage import cells
from fer_tasks.training import fit
from flows.engine.own_process import call_in_own_process, sparing_memory
from flows.engine.progress import Progress
from flows.grid.cell_process import Job, Outcome, fit_cell
from flows.grid.memory_budget import machine_memory, reserve
from flows.grid.predictions import Split, answers

SAYS_EVERY = 30  # s, of the features that are computed


@task(task_run_name="{job.cell.id}", cache_policy=NO_CACHE, persist_result=False)
def train_cell(job: Job, target: Path, wanted: Train, show_grid: Callable[[], None]) -> Outcome:
    """`show_grid` is called when the cell has begun and after each epoch, its history being written."""
    cell, folder, log = job.cell, target / job.cell.id, get_run_logger().getChild("cells")
    log.setLevel("INFO")  # a line an epoch is wanted here
    cells.begin_log(folder, job.fingerprint)

    def say(text: str) -> None:
        log.info(f"{cell.id}: {text}")
        cells.log(folder, text)

    def write_epochs(rows: list[dict[str, float]]) -> None:
        cells.write_history(folder, fit.history(rows))
        show_grid()

    with Progress(artifact_key(f"train-{cell.id}"), cell.all_epochs) as progress:
        show = _watch(cell, progress, say, write_epochs)

        def train(batch_size: int) -> Outcome:
            return call_in_own_process(fit_cell, job, batch_size, threads=wanted.threads, on_message=show)

        with reserve(cell.memory, wanted.memory * machine_memory(), say):
            if cell.distil:
                split = Split("train", target, job.features, wanted.threads)
                taught = answers([cell.distil.teacher], split)[cell.distil.teacher]
                job = job._replace(teacher=taught.probabilities)
            (trained, about), batch_size = sparing_memory(train, cell.batch_size, say)
    return trained, {**about, "note": "; ".join(_notes(cell, batch_size))}


def _notes(cell: Cell, batch_size: int) -> Iterator[str]:
    """What one must know of a cell to compare it."""
    if cell.distil:
        yield f"taught by {cell.distil.teacher}"
    if batch_size != cell.batch_size:
        yield f"out of memory at batch size {cell.batch_size}: trained at {batch_size}"
    if 0 < cell.views < cell.epochs:
        yield f"{cell.views} views of the augmented pictures for {cell.epochs} epochs"


def _watch(
    cell: Cell,
    progress: Progress,
    say: Callable[[str], None],
    write_epochs: Callable[[list[dict[str, float]]], None],
) -> Callable[[dict[str, Any]], None]:
    """Shows and says what `fit_cell` sends."""
    epochs, backbone = cell.all_epochs, cell.options.get("backbone", cell.model)
    rows: list[dict[str, float]] = []
    after, began, said = 0, time.monotonic(), 0.0

    def show_features(ready: int, of: int) -> None:
        nonlocal began, said
        began = time.monotonic()
        text = f"features of {backbone}: {ready:,} of {of:,}"
        if ready == of or began - said > SAYS_EVERY:
            said = began
            say(text)
        progress.set_postfix_str(text)
        progress.reach(after, epochs)

    def show(message: dict[str, Any]) -> None:
        nonlocal after, began
        if "features" in message:
            return show_features(message["features"], message["of"])
        if "rows" in message:
            rows[:] = message["rows"]
            after, began = len(rows), time.monotonic()
            write_epochs(rows)
            say(f"goes on after epoch {after}" if after else "begins")
            return progress.reach(after, epochs)
        rows.append(message)
        write_epochs(rows)
        epoch = message["epoch"]
        left = (time.monotonic() - began) / (epoch - after) * (epochs - epoch)
        text = "loss {loss:.3f}, accuracy {accuracy:.3f}, validation {val_accuracy:.3f}".format(**message)
        say(f"epoch {epoch} of {epochs}: {text}, {left:.0f} s left")
        progress.set_postfix_str(f"{text}, {left:.0f} s left", refresh=False)
        progress.reach(int(epoch), epochs)

    return show


def artifact_key(name: str) -> str:
    """Prefect's keys hold lower-case letters, digits and dashes."""
    return "".join(c if c.isalnum() else "-" for c in name.lower())
