"""`train.grid: auto`: which grid it is, and that the run says so."""

from pathlib import Path

import pytest

from fer_tasks.settings import Settings, grid_for, load_settings
from fer_tasks.storage.dataset import IncompleteDataset
from flows.grid.choose_grid import with_chosen_grid

ROOT = Path(__file__).parents[1]
SETTINGS = load_settings(ROOT / "params.yaml")


def of_grid(name: str) -> Settings:
    return SETTINGS.model_copy(update={"train": SETTINGS.train.model_copy(update={"grid": name})})


def test_it_is_the_grid_for_small_sets_below_5000_faces():
    assert [grid_for(faces) for faces in (1, 4999, 5000, 100_000)] == ["small", "small", "modern", "modern"]


def test_a_grid_that_is_named_is_taken_and_none_without_data(tmp_path):
    assert with_chosen_grid(of_grid("sample"), tmp_path / "nowhere") == of_grid("sample")
    with pytest.raises(IncompleteDataset, match="run `dvc repro clean`"):
        with_chosen_grid(SETTINGS, tmp_path / "clean")
