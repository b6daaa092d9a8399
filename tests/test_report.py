"""What the report says where there is nothing to report on."""

from pathlib import Path

import pytest

from fer_tasks.errors import UserError
from fer_tasks.settings import load_grid, load_settings
from fer_tasks.storage import cells
from flows.report import report


def refused() -> str:
    with pytest.raises(UserError) as caught:
        report.fn(load_settings())
    return str(caught.value)


def test_a_grid_without_a_trained_cell_is_one_clear_message(in_project):
    grid = load_grid("sample")
    none = f"no cell of grids/sample.yaml is trained, of {len(grid.cells)}; `dvc repro train` trains them"
    assert refused() == none
    name = grid.cells[0].id
    about = {"cell": name, "settings": {"model": "m", "recipe": "r", "epochs": 3}, "fingerprint": "f"}
    cells.write_cell(Path("models", name), {**about, "status": "failed", "reason": "no memory"}, None)
    assert refused() == f"no cell of grids/sample.yaml is trained; {name} failed: no memory"
    (Path("models") / ".ipynb_checkpoints").mkdir()
    assert name in refused()
