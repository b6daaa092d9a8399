"""grids/<name>.yaml: cells, what is made of several, and what a smaller size leaves of them."""

import os
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from fer_tasks.errors import did_you_mean
from fer_tasks.settings.section import Section, load
from fer_tasks.settings.training import Training
from fer_tasks.settings.yaml_file import SettingsError

Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=80)]


class Cell(Training):
    """One training run of a grid."""

    id: Id
    seed: int = Field(2021, ge=0)
    memory: float = Field(2, gt=0)


class Ensemble(Section):
    """Cells of the grid that answer together. The id alone is their plain mean, the answer that counts."""

    id: Id
    members: list[str] = Field(min_length=1)
    test_time_augmentation: Literal["none", "flip", "perturbations"] = "none"
    margin: float = Field(0.5, gt=0, lt=1)  # from 1 on no picture has enough, and one member gets all
    ridge: float = Field(0, ge=0)

    @property
    def ids(self) -> dict[str, str]:
        """What it is called on the leaderboard by each way to weight its members."""
        fitted = ("log_likelihood", "hinge") if len(self.members) > 1 else ()
        return {"mean": self.id, **{way: f"{self.id}.{way}" for way in fitted}}


class Reduced(Section):
    """What `train.size: reduced` leaves of each cell, at most."""

    pictures: int = Field(ge=1)
    epochs: int = Field(ge=1)


class Grid(Section):
    """grids/<name>.yaml: a named set of cells."""

    cells: list[Cell] = Field(min_length=1)
    ensembles: list[Ensemble] = []
    reduced: Reduced | None = None

    @property
    def ids(self) -> list[str]:
        """The rows of the leaderboard: cells, and ensembles each way."""
        return [cell.id for cell in self.cells] + [i for one in self.ensembles for i in one.ids.values()]

    @property
    def needs(self) -> dict[str, set[str]]:
        """What must be there before a cell (its teacher) or an ensemble (its members)."""
        taught = {cell.id: {cell.distil.teacher} if cell.distil else set() for cell in self.cells}
        return taught | {ensemble.id: set(ensemble.members) for ensemble in self.ensembles}

    @model_validator(mode="after")
    def _ids_differ(self) -> "Grid":
        ids = self.ids
        twice = sorted({i for i in ids if ids.count(i) > 1} | ({"best"} & set(ids)))
        if twice:
            names = "ids of cells and ensembles"
            raise ValueError(f"{names} must differ from each other and from 'best': {', '.join(twice)}")
        return self

    @model_validator(mode="after")
    def _others_are_there_and_end_before(self) -> "Grid":
        cells, ensembles = ([one.id for one in part] for part in (self.cells, self.ensembles))
        for k, ensemble in enumerate(self.ensembles):
            for member in ensemble.members:
                _known(f"ensembles.{k}.members", "cell", member, cells)
            if len(set(ensemble.members)) < len(ensemble.members):
                raise ValueError(f"ensembles.{k}.members: a cell is there twice")
        for k, cell in enumerate(self.cells):
            if cell.distil:
                _known(
                    f"cells.{k}.distil.teacher", "cell or ensemble", cell.distil.teacher, cells + ensembles
                )
        try:
            TopologicalSorter(self.needs).prepare()
        except CycleError as error:
            raise ValueError(f"each of these waits for the next: {', '.join(error.args[1][::-1])}") from None
        return self


def _known(key: str, kind: str, name: str, known: list[str]) -> None:
    if name not in known:
        mend = did_you_mean(name, known, f"choose one of {known}")
        raise ValueError(f"{key}: no {kind} {name!r} in this grid; {mend}")


def cells_of_size(grid: Grid, size: str) -> list[Cell]:
    """The cells as they are, or, of size `reduced`, with fewer train pictures and epochs. Raises
    SettingsError where the grid does not say how few."""
    if size == "full":
        return grid.cells
    if not grid.reduced:
        raise SettingsError(
            "params.yaml: train.size: this grid has no smaller size; set it to full, or add "
            "`reduced: {pictures: …, epochs: …}` to the grid"
        )
    return [_reduce(cell, grid.reduced) for cell in grid.cells]


def _reduce(cell: Cell, to: Reduced) -> Cell:
    tuned = cell.fine_tune
    fewer = tuned and tuned.model_copy(update={"epochs": min(tuned.epochs, to.epochs)})
    pictures = min(cell.pictures or to.pictures, to.pictures)
    epochs = min(cell.epochs, to.epochs)
    return cell.model_copy(update={"epochs": epochs, "fine_tune": fewer, "pictures": pictures})


def load_grid(name: str, folder: Path = Path("grids")) -> Grid:
    """Read and check grids/<name>.yaml. Raises SettingsError, listing the grids there are."""
    if not os.path.isfile(folder / f"{name}.yaml"):
        known = sorted(file.stem for file in folder.glob("*.yaml"))
        raise SettingsError(f"params.yaml: train.grid: no grid {name!r} in {folder}/; choose one of {known}")
    return load(Grid, folder / f"{name}.yaml")
