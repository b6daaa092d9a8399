"""A cell as a Prefect task: trained in its own process within the memory budget, with progress and a log."""

import time
from collections.abc import Callable, Iterator, Mapping
from logging import Logger
from pathlib import Path
from typing import Any

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from fer_tasks.settings import Cell, Train
from fer_tasks.storage import cells
from fer_tasks.training.history import history
from flows.engine.own_process import call_in_own_process, sparing_memory
from flows.engine.progress import Progress
from flows.grid.in_own_process import FIT_CELL
from flows.grid.jobs import Job, Outcome
from flows.grid.memory_budget import machine_memory, reserve
from flows.grid.predictions import PredictedSplit, predictions_of

LOG_EVERY = 30  # s, while a frozen backbone's features are computed


@task(task_run_name="{job.cell.id}", cache_policy=NO_CACHE, persist_result=False)
def train_cell(job: Job, models: Path, settings: Train, show_grid: Callable[[], None]) -> Outcome:
    """Train a cell. `show_grid` is called when training starts and after each epoch, once the cell's history
    is written."""
    cell = job.cell
    cells.begin_log(models / cell.id, job.fingerprint)
    with Progress(artifact_key(f"train-{cell.id}"), cell.all_epochs) as progress:
        monitor = CellMonitor(cell, models / cell.id, progress, get_run_logger(), show_grid)

        def train(batch_size: int) -> Outcome:
            return call_in_own_process(
                FIT_CELL, job, batch_size, threads=settings.threads, on_message=monitor.on_message
            )

        with reserve(cell.memory, settings.memory * machine_memory(), monitor.log):
            if cell.distil:
                split = PredictedSplit("train", models, job.features, settings.threads)
                teacher = predictions_of([cell.distil.teacher], split)[cell.distil.teacher]
                job = job._replace(teacher=teacher.probabilities)
            (trained, info), _ = sparing_memory(train, cell.batch_size, monitor.log)
    return trained, {**info, "note": "; ".join(_notes(cell, info))}


def _notes(cell: Cell, info: Mapping[str, Any]) -> Iterator[str]:
    """What a reader must know about a cell to compare it. `info`: the content of its cell.json."""
    batch_size = info["batch_size"]
    if cell.labels == "votes":
        left_out = ", ".join(f"{n:,} {reason}" for reason, n in info["left_out"].items()) or "none"
        yield f"learnt from votes, and validated on them; left out: {left_out}"
    if cell.distil:
        yield f"taught by {cell.distil.teacher}"
    if batch_size != cell.batch_size:
        yield f"out of memory at batch size {cell.batch_size}: trained at {batch_size}"
    if 0 < cell.views < cell.epochs:
        yield f"{cell.views} views of the augmented pictures for {cell.epochs} epochs"


class CellMonitor:
    """Shows and logs what `fit_cell` sends, and writes the cell's history."""

    def __init__(
        self, cell: Cell, folder: Path, progress: Progress, logger: Logger, show_grid: Callable[[], None]
    ):
        self.cell, self.folder, self.progress, self.show_grid = cell, folder, progress, show_grid
        self._logger = logger.getChild("cells")
        self._logger.setLevel("INFO")  # one line an epoch
        self._rows: list[dict[str, float]] = []
        self._resumed_after = 0  # epochs
        self._began = time.monotonic()
        self._features_logged = 0.0

    def log(self, text: str) -> None:
        """Log a line, to Prefect and to the cell's train.log."""
        self._logger.info(f"{self.cell.id}: {text}")
        cells.log(self.folder, text)

    def on_message(self, message: dict[str, Any]) -> None:
        if "rows" in message:
            self.on_start(message["rows"])
        elif "features" in message:
            self.on_features(message["features"], message["of"])
        else:
            self.on_epoch(message)

    def on_start(self, rows: list[dict[str, float]]) -> None:
        """Training starts, or resumes after the epochs of `rows`."""
        self._rows, self._resumed_after, self._began = [*rows], len(rows), time.monotonic()
        self._write_history()
        self.log(f"resumes after epoch {len(rows)}" if rows else "training starts")
        self.progress.reach(len(rows), self.cell.all_epochs)

    def on_features(self, done: int, total: int) -> None:
        """A frozen backbone's features are computed for `done` of `total` pictures."""
        self._began = time.monotonic()  # the time left is that of the epochs
        backbone = self.cell.options.get("backbone", self.cell.model)
        text = f"features of {backbone}: {done:,} of {total:,}"
        if done == total or self._began - self._features_logged > LOG_EVERY:
            self._features_logged = self._began
            self.log(text)
        self.progress.set_postfix_str(text)
        self.progress.reach(self._resumed_after, self.cell.all_epochs)

    def on_epoch(self, row: dict[str, float]) -> None:
        """An epoch has ended; `row` is its row of the history."""
        self._rows.append(row)
        self._write_history()
        epoch, epochs = row["epoch"], self.cell.all_epochs
        seconds_an_epoch = (time.monotonic() - self._began) / (epoch - self._resumed_after)
        left = seconds_an_epoch * (epochs - epoch)
        text = "loss {loss:.3f}, accuracy {accuracy:.3f}, validation {val_accuracy:.3f}".format(**row)
        self.log(f"epoch {epoch} of {epochs}: {text}, {left:.0f} s left")
        self.progress.set_postfix_str(f"{text}, {left:.0f} s left", refresh=False)
        self.progress.reach(int(epoch), epochs)

    def _write_history(self) -> None:
        cells.write_history(self.folder, history(self._rows))
        self.show_grid()


def artifact_key(name: str) -> str:
    """A key as Prefect allows: lower-case letters, digits and dashes."""
    return "".join(c if c.isalnum() else "-" for c in name.lower())
