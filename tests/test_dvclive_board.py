"""What DVC shows of a grid that is being trained."""

import json
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pandas as pd
import psutil
import pytest

from fer_tasks.storage import cells
from flows.grid.dvclive_board import CURVES, show_grid

NAMES = ["done", "new"]


def row(epoch: int) -> dict[str, float]:
    return {
        "epoch": epoch,
        "loss": 2.0,
        "accuracy": 0.1 * epoch,
        "val_loss": 3.0,
        "val_accuracy": 0.05 * epoch,
    }


def rows(epochs: int) -> pd.DataFrame:
    return pd.DataFrame([row(epoch) for epoch in range(1, epochs + 1)], columns=[*row(1)])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("reports/live")


def show(folder: Path, names: list[str] = NAMES) -> None:
    show_grid(folder, Path(".cache/live.lock"), Path("models"), names)


def metrics(folder: Path) -> dict:
    return json.loads((folder / "metrics.json").read_text())


def curves(folder: Path) -> list[dict]:
    return json.loads((folder / "plots" / "custom" / f"{CURVES}.json").read_text())


def test_each_cell_shows_its_last_epoch_and_all_their_curves(folder):
    cells.write_history(Path("models/done"), rows(2))
    cells.write_history(Path("models/new"), rows(0))
    show(folder)
    assert metrics(folder) == {"done": row(2), "step": 2}
    cells.write_history(Path("models/new"), rows(1))
    show(folder)
    assert metrics(folder) == {"done": row(2), "new": row(1), "step": 3}
    shown = [(point["cell"], point["epoch"]) for point in curves(folder)]
    assert shown == [("done", 1), ("done", 2), ("new", 1)]


def test_what_is_no_more_is_not_shown(folder):
    cells.write_history(Path("models/done"), rows(3))
    cells.write_history(Path("models/new"), rows(2))
    show(folder)
    cells.write_history(Path("models/done"), rows(1))  # it begins again
    show(folder, ["done"])
    assert metrics(folder) == {"done": row(1), "step": 1} and len(curves(folder)) == 1
    cells.write_history(Path("models/done"), rows(0))
    show(folder, ["done"])
    assert metrics(folder) == {"step": 0} and not list(folder.rglob(f"{CURVES}.json"))


def train(folder: Path, name: str, names: list[str]) -> None:
    for epochs in range(1, 6):
        cells.write_history(Path("models", name), rows(epochs))
        show(folder, names)


@pytest.mark.slow
def test_cells_in_processes_side_by_side_lose_nothing(folder):
    names = [f"cell-{i}" for i in range(4)]
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        list(pool.map(train, [folder] * 4, names, [names] * 4))
    assert len(curves(folder)) == metrics(folder)["step"] == 20
    assert all(metrics(folder)[name] == row(5) for name in names)


def test_nothing_but_its_folder_and_the_lock_is_written(folder):
    cells.write_history(Path("models/done"), rows(1))
    show(folder)
    assert sorted(path.name for path in Path().iterdir()) == [".cache", "models", "reports"]
    assert sorted(p.name for p in folder.rglob("*") if p.is_file()) == [f"{CURVES}.json", "metrics.json"]


def test_an_epoch_leaves_no_thread_and_no_file_open(folder):
    cells.write_history(Path("models/done"), rows(1))
    show(folder)
    before = threading.active_count(), psutil.Process().num_fds()
    for _ in range(5):
        show(folder)
    assert (threading.active_count(), psutil.Process().num_fds()) == before
