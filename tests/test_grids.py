"""The grids that the project ships: every cell can be trained."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fer_tasks.evaluation.published import parse_published
from fer_tasks.labels import VOTES
from fer_tasks.recipes import make_transform
from fer_tasks.settings import load_grid, load_settings
from fer_tasks.storage.dataset import write_dataset
from fer_tasks.storage.files import read_text
from flows.grid.check_cells import check_cells
from flows.make_features import recipes_of

ROOT = Path(__file__).parents[1]
GRIDS = sorted(file.stem for file in (ROOT / "grids").glob("*.yaml"))


@pytest.mark.slow
@pytest.mark.parametrize("grid", GRIDS)
def test_every_cell_builds_on_what_its_recipe_gives(grid, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    cells = load_grid(grid).cells
    face = np.random.default_rng(0).integers(0, 256, (150, 150, 3), np.uint8)
    for recipe, steps in recipes_of(cells, load_settings()).items():
        (tmp_path / recipe).mkdir()
        np.save(tmp_path / recipe / "X.npy", make_transform(steps)(face)[None])
        table = pd.DataFrame({"image_id": ["0"], "pixels": ["0"], **dict.fromkeys(VOTES, 0.125)})
        write_dataset(tmp_path / recipe, table, table.iloc[:0].assign(reason="", detail=""), {}, {})
    assert check_cells(cells, tmp_path, lambda message: None) == []


def test_published_figures_are_of_cells_that_the_grid_has():
    files = sorted((ROOT / "grids" / "published").glob("*.csv"))
    for file in files:
        ids = {cell.id for cell in load_grid(file.stem, ROOT / "grids").cells}
        published = {*parse_published(read_text(file), str(file)).figures["cell"]}
        assert published and published <= ids
    assert [file.stem for file in files] == ["report-2021"]


def test_the_grid_of_2021_has_its_53_runs(monkeypatch):
    monkeypatch.chdir(ROOT)
    cells = load_grid("report-2021").cells
    families = {cell.id.rsplit("-", 1)[0] for cell in cells}
    assert len(cells) == 53
    assert families == {"raw", "cnn", "multi", "teacher", "mnv2", "mnv3l", "mnv3s", "effnet", "irv2"}
