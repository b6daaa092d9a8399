"""sources/<name>.yaml: sources other than folders and tables."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from fer_tasks.settings.section import Section, check
from fer_tasks.settings.yaml_file import SettingsError, read


class Sample(Section):
    """sources/sample.yaml: how large the generated sample is."""

    kind: Literal["sample"]
    train_per_class: int = Field(ge=1)
    test_per_class: int = Field(ge=1)
    seed: int


class Kaggle(Section):
    """sources/kaggle.yaml: a data set on Kaggle."""

    kind: Literal["kaggle"]
    dataset: str = Field(min_length=3)
    version: int | Literal["newest"]
    max_bytes: int = Field(ge=1)
    url: str = Field(min_length=1)


SOURCES: dict[str, type[Section]] = {
    "sample": Sample,
    "kaggle": Kaggle,
}  # sources/<name>.yaml, by their `kind`


def load_source(path: Path) -> Sample | Kaggle:
    """Read and check the description of a source. Raises SettingsError."""
    content = read(path)
    kind = content.get("kind") if isinstance(content, dict) else None
    if not isinstance(kind, str) or kind not in SOURCES:
        raise SettingsError(f"{path}: kind: choose one of {sorted(SOURCES)} (it is {kind!r})")
    return check(SOURCES[kind], path, content)
