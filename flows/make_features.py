"""data/clean -> data/features/<recipe>: every recipe that a cell of the grid names, computed once."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
from prefect import flow, get_run_logger

from fer_tasks.errors import UserError
from fer_tasks.labels import VOTES
from fer_tasks.recipes import make_transform
from fer_tasks.settings import Cell, Settings, load_grid
from fer_tasks.storage.dataset import (
    REJECTED_COLUMNS,
    Dataset,
    empty_folder,
    image_files,
    read_dataset,
    write_dataset,
)
from fer_tasks.storage.files import read_array, write_array
from flows.engine.stage import made_from, run_stage
from flows.grid.choose_grid import with_chosen_grid
from flows.recipe_arrays import transform_files

COLUMNS = ["image_id", "pixels", "label", "split"]


@flow(name="make_features")
def make_features(
    settings: Settings, source: Path = Path("data/clean"), target: Path = Path("data/features")
) -> None:
    for steps in settings.make_features.recipes.values():
        make_transform(steps)  # a mistyped step must stop the run before any picture is read
    clean = read_dataset(source)
    grid = load_grid(with_chosen_grid(settings, source).train.grid)
    recipes = recipes_of(grid.cells, settings)
    empty_folder(target)
    for recipe, steps in recipes.items():
        _make(clean, recipe, steps, target / recipe)


def recipes_of(cells: Iterable[Cell], settings: Settings) -> dict[str, list[dict[str, Any]]]:
    """The recipes of params.yaml that cells name. Raises UserError for an unknown one."""
    recipes, used = settings.make_features.recipes, {}
    for cell in cells:
        if cell.recipe not in recipes:
            raise UserError(
                f"cell {cell.id}: no recipe {cell.recipe!r} in params.yaml; choose one of {sorted(recipes)}"
            )
        used[cell.recipe] = recipes[cell.recipe]
    return used


def _make(clean: Dataset, recipe: str, steps: list[dict[str, Any]], target: Path) -> None:
    table = clean.manifest.sort_values("image_id")
    columns = [name for name in COLUMNS + VOTES if name in table]
    rows = transform_files(image_files(clean, table), steps)
    digest = write_array(target / "X.npy", len(table), rows)
    none = pd.DataFrame(columns=REJECTED_COLUMNS)
    info = write_dataset(target, table[columns], none, made_from(clean), {"steps": steps, "array": digest})
    shape = read_array(target / "X.npy").shape
    get_run_logger().info(f"{recipe}: {info['kept']} faces -> {shape}")


if __name__ == "__main__":
    run_stage(make_features)
