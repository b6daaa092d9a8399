"""params.yaml, grids/ and sources/ -> frozen, typed settings. An unknown key or a bad value stops the run."""

import difflib
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fer_tasks.errors import UserError


class SettingsError(UserError):
    """A settings file is missing, is no YAML, or holds an unknown key or a value out of range."""


class Section(BaseModel):
    """A section of a settings file: frozen, and it knows no other keys than its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Download(Section):
    source: str = Field(min_length=1)
    max_pixels: int = Field(ge=4096)
    min_side: int = Field(ge=1)


class CropFaces(Section):
    mode: Literal["fast", "exact", "whole"]
    max_side: int = Field(ge=128)
    min_score: float = Field(ge=0, le=1)
    min_face: int = Field(ge=1)
    margin: float = Field(ge=0, le=2)
    size: int = Field(ge=32, le=1024)


class WritingRule(Section):
    min_aspect: float = Field(ge=0)
    max_height: float = Field(gt=0, le=1)
    min_letters: int = Field(ge=1)


class LocalText(Section):
    side: int = Field(ge=64, le=2000)
    min_confidence: float = Field(ge=0, le=1)


class OcrSpace(Section):
    url: str = Field(pattern="^https?://")
    ocr_engine: int = Field(ge=1, le=3)
    language: str = Field(pattern="^[a-z]{3,4}$")
    sheet: bool
    max_bytes: int = Field(ge=10_000)
    max_side: int = Field(ge=500)
    connections: int = Field(ge=1, le=50)
    per_second: int = Field(ge=1)
    per_day: int = Field(ge=1)
    per_month: int = Field(ge=1)
    wait: float = Field(ge=0)

    @model_validator(mode="after")
    def _secrets_stay_secret(self) -> "OcrSpace":
        here = urlsplit(self.url).hostname in ("127.0.0.1", "localhost", "::1")
        if self.url.startswith("http://") and not here:
            raise ValueError("url: the key would go out unencrypted; write https://")
        return self


class DropText(Section):
    engine: Literal["local", "ocr_space", "none"]
    rule: WritingRule
    local: LocalText
    ocr_space: OcrSpace


class Rules(Section):
    max_yaw: float = Field(gt=0)
    max_roll: float = Field(gt=0, le=180)
    min_eye_distance: float = Field(ge=0)
    min_sharpness: float = Field(ge=0)
    min_brightness: float = Field(ge=0, le=255)
    max_brightness: float = Field(ge=0, le=255)
    min_contrast: float = Field(ge=0, le=128)
    max_flatness: float = Field(ge=0, le=1)
    max_second_face: float = Field(ge=0)
    min_score: float = Field(ge=0, le=1)
    max_covered: float = Field(ge=0, le=1)
    min_copy_bits: int = Field(ge=0, le=128)
    max_copy_correlation: float = Field(gt=0, le=1)
    max_label_doubt: float = Field(ge=0, le=1)

    @model_validator(mode="after")
    def _dark_is_below_bright(self) -> "Rules":
        if self.min_brightness >= self.max_brightness:
            raise ValueError(f"min_brightness must be below max_brightness, {self.max_brightness:g}")
        return self


class Clean(Section):
    rules: Rules
    reject: list[str]
    wait_for_review: int = Field(ge=0)
    val_share: float = Field(gt=0, lt=1)
    test_share: float = Field(gt=0, lt=1)


class DataCard(Section):
    examples: int = Field(ge=1)
    groups: int = Field(ge=1)
    pairs: int = Field(ge=1)
    side: int = Field(ge=32, le=1024)


class MakeFeatures(Section):
    recipes: dict[str, list[dict[str, Any]]] = Field(min_length=1)


class Train(Section):
    grid: str = Field(min_length=1)
    size: Literal["full", "reduced"]
    workers: int = Field(ge=1)
    threads: int = Field(ge=1)
    memory: float = Field(gt=0, le=1)


class Report(Section):
    curves: int = Field(ge=1)
    contact_sheet: int = Field(ge=1)
    mistakes: int = Field(ge=1)
    grad_cam: int = Field(ge=2)
    bootstrap: int = Field(ge=100)
    seed: int


class FineTune(Section):
    """A second phase: the backbone learns too."""

    learning_rate: float = Field(gt=0)
    epochs: int = Field(ge=1)


class Training(Section):
    """A model, the recipe that it sees faces by, and how it is trained; what is left out is off."""

    model: str
    options: dict[str, Any] = {}
    recipe: str
    optimizer: Literal["adam", "rmsprop", "sgd"] = "adam"
    learning_rate: float = Field(gt=0)
    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    loss: Literal["categorical_crossentropy", "categorical_hinge"] = "categorical_crossentropy"
    label_smoothing: float = Field(0, ge=0, lt=1)
    schedule: Literal["constant", "cosine", "one_cycle"] = "constant"
    weight_decay: float = Field(0, ge=0)
    ema: float = Field(0, ge=0, lt=1)
    augmentation: Literal["none", "light", "strong"] = "none"
    views: int = Field(0, ge=0)
    fine_tune: FineTune | None = None
    precision: Literal["float32", "mixed_bfloat16"] = "float32"
    pictures: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _options_go_together(self) -> "Training":
        if self.label_smoothing and self.loss != "categorical_crossentropy":
            raise ValueError("label_smoothing goes with loss: categorical_crossentropy")
        if self.views and self.augmentation == "none":
            raise ValueError("views are of augmented pictures; choose an augmentation, or leave views out")
        return self

    @property
    def all_epochs(self) -> int:
        """Of both phases."""
        return self.epochs + (self.fine_tune.epochs if self.fine_tune else 0)


class Ablation(Section):
    training: Training
    seeds: list[int] = Field(min_length=3)
    min_judged: int = Field(ge=1)

    @model_validator(mode="after")
    def _seeds_differ(self) -> "Ablation":
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds must differ: a seed that is there twice adds nothing")
        return self


class Settings(Section):
    """params.yaml: one field a stage, named as its flow and its DVC stage; `ablation` is beside the line."""

    download: Download
    crop_faces: CropFaces
    drop_text: DropText
    clean: Clean
    data_card: DataCard
    make_features: MakeFeatures
    train: Train
    report: Report
    ablation: Ablation


Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=80)]


class Distil(Section):
    """A cell or an ensemble of the grid whose answers a student learns beside the labels."""

    teacher: str
    temperature: float = Field(gt=0)
    soft: float = Field(gt=0)
    hard: float = Field(ge=0)


class Cell(Training):
    """One training run of a grid."""

    id: Id
    seed: int = Field(2021, ge=0)
    memory: float = Field(2, gt=0)
    distil: Distil | None = None


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
        close = difflib.get_close_matches(name, known, n=1)
        mend = f"did you mean {close[0]!r}?" if close else f"choose one of {known}"
        raise ValueError(f"{key}: no {kind} {name!r} in this grid; {mend}")


class Sample(Section):
    """sources/sample.yaml: how large the generated sample is."""

    kind: Literal["sample"]
    train_per_class: int = Field(ge=1)
    test_per_class: int = Field(ge=1)
    seed: int


class Kaggle(Section):
    """sources/kaggle.yaml: a data set of Kaggle."""

    kind: Literal["kaggle"]
    dataset: str = Field(min_length=3)
    version: int | Literal["newest"]
    max_bytes: int = Field(ge=1)
    url: str = Field(min_length=1)


SOURCES: dict[str, type[Section]] = {
    "sample": Sample,
    "kaggle": Kaggle,
}  # sources/<name>.yaml, by their `kind`


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


def load_settings(path: Path = Path("params.yaml")) -> Settings:
    """Read and check params.yaml. Raises SettingsError, naming the file, the key and what would be right."""
    return _load(Settings, path)


def load_grid(name: str, folder: Path = Path("grids")) -> Grid:
    """Read and check grids/<name>.yaml. Raises SettingsError, listing the grids there are."""
    if not (folder / f"{name}.yaml").exists():
        known = sorted(file.stem for file in folder.glob("*.yaml"))
        raise SettingsError(f"params.yaml: train.grid: no grid {name!r} in {folder}/; choose one of {known}")
    return _load(Grid, folder / f"{name}.yaml")


def load_source(path: Path) -> Sample | Kaggle:
    """Read and check the description of a source. Raises SettingsError."""
    content = _read(path)
    kind = content.get("kind") if isinstance(content, dict) else None
    if kind not in SOURCES:
        raise SettingsError(f"{path}: kind: choose one of {sorted(SOURCES)} (it is {kind!r})")
    return _check(SOURCES[kind], path, content)


def _load(model: type[Section], path: Path) -> Any:
    return _check(model, path, _read(path))


def _read(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise SettingsError(f"{path} is missing; run from the project's root") from None
    except yaml.YAMLError as error:
        raise SettingsError(f"{path} is no valid YAML: {' '.join(str(error).split())}") from None


def _check(model: type[Section], path: Path, content: Any) -> Any:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise SettingsError("\n".join(_explain(model, path, problem) for problem in error.errors())) from None


def _explain(model: type[Section], path: Path, problem: dict[str, Any]) -> str:
    place = ".".join(str(part) for part in problem["loc"])
    where = f"{path}: {place}" if place else str(path)
    if problem["type"] == "extra_forbidden":
        known = _keys_at(model, problem["loc"][:-1])
        close = difflib.get_close_matches(str(problem["loc"][-1]), known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(known)}"
        return f"{where}: unknown key; {hint}"
    if problem["type"] == "missing":
        return f"{where}: this key is missing"
    given = f" (it is {problem['input']!r})" if isinstance(problem["input"], str | int | float | None) else ""
    return f"{where}: {problem['msg']}{given}"


def _keys_at(model: Any, loc: tuple[str | int, ...]) -> list[str]:
    for part in loc:
        if isinstance(part, int):
            continue
        annotation = model.model_fields[part].annotation
        model = next((a for a in getattr(annotation, "__args__", ()) if isinstance(a, type)), annotation)
    return list(model.model_fields)
