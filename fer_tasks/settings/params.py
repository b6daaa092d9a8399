"""params.yaml: every number a person may want to change, one section a stage."""

import os
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from fer_tasks.settings.section import Section, load
from fer_tasks.settings.training import Training


class Download(Section):
    source: str = Field(min_length=1)
    max_pixels: int = Field(ge=4096)
    min_side: int = Field(ge=1)

    @field_validator("source")
    @classmethod
    def _names_a_place(cls, source: str) -> str:
        if not source.strip() or "\0" in source:
            raise ValueError("give a folder, a table or a description in sources/")
        whole = os.path.expandvars(os.path.expanduser(source))
        if whole != source and not os.path.exists(source):  # DVC does not expand it
            raise ValueError(f"~ and $NAME are not expanded here; write {whole}")
        return source


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
            raise ValueError("url: the key would be sent unencrypted; write https://")
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
    label_model: Literal["pretrained", "hog"]
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


class Ablation(Section):
    training: Training
    seeds: list[int] = Field(min_length=3)
    min_judged: int = Field(ge=1)

    @model_validator(mode="after")
    def _seeds_differ(self) -> "Ablation":
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds must differ: a repeated seed adds nothing")
        return self

    @field_validator("training")
    @classmethod
    def _has_no_teacher(cls, training: Training) -> Training:
        if training.distil:
            raise ValueError("distil needs a grid that its teacher is trained in; leave it out")
        return training


class Versions(Section):
    author: str = Field(pattern=r"^$|^[^<>\n]*[^<>\n ] <[^<>\s]+>$")
    branch: str
    remote: str


class Gate(Section):
    equal: Literal["keep", "smaller", "quicker"]
    max_loss: float = Field(gt=0, lt=1)
    min_saving: float = Field(ge=0, lt=1)


class Server(Section):
    idle_minutes: float = Field(gt=0)


class Schedule(Section):
    watch_minutes: float = Field(gt=0)
    overdue_hours: float = Field(gt=0)


class Settings(Section):
    """params.yaml: one field a stage, named as its flow and its DVC stage; `server` serves all stages,
    `schedule` is of `make schedule`, `ablation` is not a stage, and `versions` and `gate` are of the end of
    a rebuild."""

    server: Server
    schedule: Schedule
    download: Download
    crop_faces: CropFaces
    drop_text: DropText
    clean: Clean
    data_card: DataCard
    make_features: MakeFeatures
    train: Train
    report: Report
    ablation: Ablation
    versions: Versions
    gate: Gate


def load_settings(path: Path = Path("params.yaml")) -> Settings:
    """Read and check params.yaml. Raises SettingsError, naming the file, the key and the fix."""
    return load(Settings, path)
