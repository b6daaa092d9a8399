"""`train.grid: auto`: the grid that suits how many faces there are."""

from pathlib import Path

from prefect import get_run_logger

from fer_tasks.settings import AUTO, FEWER, Settings, grid_for
from fer_tasks.storage.dataset import read_info


def with_chosen_grid(settings: Settings, clean: Path) -> Settings:
    """The settings with the name of a grid in place of `auto`, by the faces of data/clean; logs which and
    why.

    Raises:
        IncompleteDataset: there is no data/clean.
    """
    if settings.train.grid != AUTO:
        return settings
    faces = read_info(clean)["kept"]
    name = grid_for(faces)
    than = "fewer" if faces < FEWER else "no fewer"
    get_run_logger().info(
        f"train.grid: auto: grids/{name}.yaml, as {faces:,} faces are {than} than {FEWER:,}"
    )
    return settings.model_copy(update={"train": settings.train.model_copy(update={"grid": name})})
