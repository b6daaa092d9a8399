"""grids/<name>.yaml: cells, ensembles of them, and a reduced size."""

import os
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from fer_tasks.errors import did_you_mean
from fer_tasks.settings.section import Section, load
from fer_tasks.settings.training import Training
from fer_tasks.settings.yaml_file import SettingsError

AUTO = "auto"  # as train.grid: `small` for fewer faces than these, else `modern`
FEWER, SMALL, LARGE = 5000, "small", "modern"
Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=80)]


class Cell(Training):
    """One training run of a grid."""

    id: Id
    labels: Literal["own", "votes"] = "own"  # votes: of a source with columns votes_…, as soft labels
    seed: int = Field(2021, ge=0)
    memory: float = Field(2, gt=0)


class Ensemble(Section):
    """Cells of the grid whose predictions are averaged. The id alone names their plain mean, which counts."""

    id: Id
    members: list[str] = Field(min_length=1)
    test_time_augmentation: Literal["none", "flip", "perturbations"] = "none"
    margin: float = Field(
        0.5, gt=0, lt=1
    )  # from 1 on no lead is large enough, and one member gets all the weight
    ridge: float = Field(0, ge=0)

    @property
    def ids(self) -> dict[str, str]:
        """Its names on the leaderboard by weighting of its members."""
        fitted = ("log_likelihood", "hinge") if len(self.members) > 1 else ()
        return {"mean": self.id, **{weighting: f"{self.id}.{weighting}" for weighting in fitted}}


class Reduced(Section):
    """The limits of each cell at `train.size: reduced`."""

    pictures: int = Field(ge=1)
    epochs: int = Field(ge=1)


class Grid(Section):
    """grids/<name>.yaml: a named set of cells."""

    cells: list[Cell] = Field(min_length=1)
    ensembles: list[Ensemble] = []
    reduced: Reduced | None = None

    @property
    def ids(self) -> list[str]:
        """The rows of the leaderboard: cells, and ensembles by weighting."""
        return [cell.id for cell in self.cells] + [i for one in self.ensembles for i in one.ids.values()]

    @property
    def needs(self) -> dict[str, set[str]]:
        """What must be trained before a cell (its teacher) or an ensemble (its members)."""
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
    def _references_exist_and_are_acyclic(self) -> "Grid":
        cells, ensembles = ([one.id for one in part] for part in (self.cells, self.ensembles))
        for k, ensemble in enumerate(self.ensembles):
            for member in ensemble.members:
                _check_name(f"ensembles.{k}.members", "cell", member, cells)
            if len(set(ensemble.members)) < len(ensemble.members):
                raise ValueError(f"ensembles.{k}.members: a cell appears twice")
        for k, cell in enumerate(self.cells):
            if cell.distil:
                _check_name(
                    f"cells.{k}.distil.teacher", "cell or ensemble", cell.distil.teacher, cells + ensembles
                )
        try:
            TopologicalSorter(self.needs).prepare()
        except CycleError as error:
            raise ValueError(
                f"these wait for each other in a circle: {', '.join(error.args[1][::-1])}"
            ) from None
        return self


def _check_name(key: str, kind: str, name: str, names: list[str]) -> None:
    if name not in names:
        fix = did_you_mean(name, names, f"choose one of {names}")
        raise ValueError(f"{key}: no {kind} {name!r} in this grid; {fix}")


def cells_of_size(grid: Grid, size: str) -> list[Cell]:
    """The cells unchanged, or, of size `reduced`, with fewer train pictures and epochs.

    Raises SettingsError if the grid has no `reduced`.
    """
    if size == "full":
        return grid.cells
    if not grid.reduced:
        raise SettingsError(
            "params.yaml: train.size: this grid has no reduced size; set it to full, or add "
            "`reduced: {pictures: …, epochs: …}` to the grid"
        )
    return [_reduce(cell, grid.reduced) for cell in grid.cells]


def _reduce(cell: Cell, to: Reduced) -> Cell:
    tuned = cell.fine_tune
    fewer = tuned and tuned.model_copy(update={"epochs": min(tuned.epochs, to.epochs)})
    pictures = min(cell.pictures or to.pictures, to.pictures)
    epochs = min(cell.epochs, to.epochs)
    return cell.model_copy(update={"epochs": epochs, "fine_tune": fewer, "pictures": pictures})


def grid_for(faces: int) -> str:
    """The name of the grid that `train.grid: auto` stands for where data/clean has so many faces."""
    return SMALL if faces < FEWER else LARGE


def load_grid(name: str, folder: Path = Path("grids")) -> Grid:
    """Read and check grids/<name>.yaml. Raises SettingsError, listing the grids, for an unknown name."""
    if not os.path.isfile(folder / f"{name}.yaml"):
        names = sorted([AUTO, *(file.stem for file in folder.glob("*.yaml"))])
        raise SettingsError(f"params.yaml: train.grid: no grid {name!r} in {folder}/; choose one of {names}")
    return load(Grid, folder / f"{name}.yaml")
