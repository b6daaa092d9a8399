"""Pictures of four expressions only, by the grid that suits so few: from faces to an answer over four."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from apps.predict.predictor import Predictor
from fer_tasks.labels import EXPRESSIONS, SPLITS
from fer_tasks.storage.dataset import STAGES, image_id, write_dataset, write_image
from fer_tasks.storage.images import encode_png
from flows.make_features import make_features
from flows.report import report
from flows.train import train
from testing.project_copy import change_params
from tests.flow_runs import run_here
from tests.predicting import ask, portrait, saved
from tests.project import CELL, link_settings
from tests.training_project import CROP

pytestmark = pytest.mark.slow

FOUR = ("angry", "happy", "neutral", "surprise")
OTHERS = "disgust, fear, sad"


@pytest.fixture(scope="module")
def project(
    tmp_path_factory: pytest.TempPathFactory, server: dict[str, str], prefect: None
) -> tuple[Path, str]:
    """A project of drawn faces with its report, and what its stages logged."""
    project = link_settings(tmp_path_factory.mktemp("four"))
    (project / "grids").unlink()
    (project / "grids").mkdir()
    (project / "grids" / "small.yaml").write_text(
        yaml.safe_dump({"cells": [{**CELL, "id": "one", "epochs": 4}]})
    )
    recipes = {"rgb32": [{"op": "resize", "size": 32}, {"op": "rescale"}]}
    change_params(project, train={"grid": "auto", "workers": 1}, make_features={"recipes": recipes})
    rows = []
    for i, name in enumerate(FOUR * 16):
        picture = encode_png(portrait(name, 150, tone=i / 64))
        face = image_id(picture)
        for stage in STAGES:
            file = write_image(project / "data" / stage, face, picture)
        split = SPLITS[max(0, i // 4 - 13)]  # 14 of each to learn from, one to validate and one to test
        rows.append({"image_id": face, "pixels": str(i), "file": file, "label": name, "split": split})
    manifest, none = pd.DataFrame(rows), pd.DataFrame(columns=["image_id", "reason", "detail"])
    settings = {"raw": {"source": "four"}, "faces": CROP}
    for stage in STAGES:
        write_dataset(project / "data" / stage, manifest, none, {}, settings.get(stage, {}))
    return project, run_here(project, make_features, train, report)


def test_the_grid_for_small_sets_is_taken_and_told(project):
    _, log = project
    assert log.count("train.grid: auto: grids/small.yaml, as 64 faces are fewer than 5,000") == 3


def test_the_model_knows_what_it_has_seen_none_of(project):
    folder, _ = project
    info = json.loads((folder / "models" / "best" / "model.json").read_text())
    assert info["prior"] == [0.25 if name in FOUR else 0 for name in EXPRESSIONS]
    assert max(info["figures"]["test"][f"set_size_{coverage}"] for coverage in ("0.8", "0.9", "0.95")) <= 4


def test_its_answers_are_over_four_and_the_command_and_the_report_say_so(project, tmp_path, capfd):
    folder, _ = project
    [row] = Predictor(folder / "models" / "best", whole=True).predict(portrait("happy", 150))
    shares = np.array([getattr(row, name) for name in EXPRESSIONS])
    assert [name for name, share in zip(EXPRESSIONS, shares, strict=True) if share] == [*FOUR]
    assert shares.sum() == pytest.approx(1) and {*row.set.split("|")} <= {*FOUR}
    (tmp_path / "face.png").write_bytes(saved(portrait("happy", 150)))
    assert ask(folder / "models" / "best", tmp_path / "face.png", "--whole") == 0
    assert f"has seen no picture of {OTHERS}: it answers over the other 4" in capfd.readouterr().err
    page = (folder / "reports" / "index.html").read_text()
    assert f"<b>There is no train picture of {OTHERS}</b>" in page
    card = (folder / "reports" / "model_card.md").read_text()
    assert f"**It has seen no picture of {OTHERS}**" in card and "nan" not in card
    assert "Not known of any test face: face size, light, sharpness, yaw, roll, covered." in card
