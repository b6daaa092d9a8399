"""What DVC shows of a grid that is being trained."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flows.grid.live import CURVES, LiveGrid


def row(epoch: int) -> dict[str, float]:
    return {
        "epoch": epoch,
        "loss": 2.0,
        "accuracy": 0.1 * epoch,
        "val_loss": 3.0,
        "val_accuracy": 0.05 * epoch,
    }


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("reports/live")


def metrics(folder: Path) -> dict:
    return json.loads((folder / "metrics.json").read_text())


def curves(folder: Path) -> list[dict]:
    return json.loads((folder / "plots" / "custom" / f"{CURVES}.json").read_text())


def test_each_cell_shows_its_last_epoch_and_all_their_curves(folder):
    live = LiveGrid(folder)
    live.begin("new", [])
    live.begin("done", [row(1), row(2)])
    live.add("new", row(1))
    assert metrics(folder) == {"done": row(2), "new": row(1), "step": 3}
    assert [(point["cell"], point["epoch"]) for point in curves(folder)] == [
        ("new", 1),
        ("done", 1),
        ("done", 2),
    ]


def test_a_cell_that_begins_again_has_no_curve_of_before(folder):
    live = LiveGrid(folder)
    live.begin("one", [row(1), row(2)])
    live.begin("one", [row(1)])
    live.add("one", row(2))
    assert [point["epoch"] for point in curves(folder)] == [1, 2]


def test_a_run_that_goes_on_ends_as_if_it_was_not_cut(folder):
    whole = LiveGrid(folder)
    whole.begin("one", [])
    for epoch in (1, 2, 3):
        whole.add("one", row(epoch))
    whole.end()
    uncut = metrics(folder), curves(folder)
    cut = LiveGrid(folder)
    assert not (folder / "metrics.json").exists(), "what a killed run left is not gone on with"
    cut.begin("one", [row(1), row(2)])
    cut.add("one", row(3))
    cut.end()
    assert (metrics(folder), curves(folder)) == uncut


def test_cells_side_by_side_lose_nothing(folder):
    live = LiveGrid(folder)
    names = [f"cell-{i}" for i in range(8)]
    for name in names:
        live.begin(name, [])
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: [live.add(name, row(epoch)) for epoch in range(1, 6)], names))
    live.end()
    assert len(curves(folder)) == metrics(folder)["step"] == 40
    assert all(metrics(folder)[name] == row(5) for name in names)


def test_nothing_but_its_folder_is_written(folder):
    live = LiveGrid(folder)
    live.begin("one", [row(1)])
    live.end()
    assert [path.name for path in Path().iterdir()] == ["reports"]
    assert sorted(p.name for p in folder.rglob("*") if p.is_file()) == [f"{CURVES}.json", "metrics.json"]
