"""Whether a teacher helped is said of a student and the same cell without a teacher, and of no others."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fer_tasks import cells, evaluation
from fer_tasks.settings import load_settings
from flows.grid.lessons import COLUMNS, lessons
from flows.grid.predictions import Answers

ROOT = Path(__file__).parents[1]
SAME = {"model": "resnet", "epochs": 3, "seed": 1, "memory": 2, "distil": None}
TAUGHT = {"teacher": "three", "temperature": 3, "soft": 0.9, "hard": 0.1}
N = 400


def answers(right: np.ndarray, confidence: float) -> Answers:
    """Named right where `right` says so, else the next expression, always as surely."""
    y_true = np.arange(N) % 7
    probabilities = np.full((N, 7), (1 - confidence) / 6, np.float32)
    probabilities[np.arange(N), np.where(right, y_true, (y_true + 1) % 7)] = confidence
    return Answers(pd.DataFrame(), y_true, probabilities)


@pytest.fixture
def write(tmp_path: Path):
    def write(cell: str, **settings: object) -> None:
        cells.write_cell(tmp_path / cell, {"settings": {**SAME, "id": cell, **settings}}, None)

    return write


def test_a_student_stands_beside_its_twin(tmp_path, write):
    write("student", distil=TAUGHT, memory=3)
    write("alone")
    write("other-seed", seed=2)
    write("without-twin", distil=TAUGHT, epochs=4)
    cells.write_cell(tmp_path / "three", {"settings": {"members": ["alone"]}}, None)
    alone = np.arange(N) < 200
    said = dict.fromkeys(("other-seed", "without-twin", "three"), answers(alone, 0.9))
    said |= {"student": answers(np.arange(N) < 240, 0.6), "alone": answers(alone, 0.9)}
    table = lessons(said, tmp_path, load_settings(ROOT / "params.yaml").report)
    assert list(table.columns) == COLUMNS
    (row,) = table.to_dict("records")
    assert (row["cell"], row["twin"], row["teacher"]) == ("student", "alone", "three")
    assert (row["accuracy"], row["twin_accuracy"], row["gain"]) == (0.6, 0.5, pytest.approx(0.1))
    assert row["gain_low"] < 0.1 < row["gain_high"] and row["differs"] is True and row["p"] < 1e-9
    assert (row["ece"], row["twin_ece"]) == (pytest.approx(0, abs=1e-6), pytest.approx(0.4))
    found = said["alone"]
    assert row["twin_loss"] == evaluation.scores(found.y_true, found.probabilities)["loss"]


def test_a_grid_without_students_has_no_lessons(tmp_path, write):
    write("alone")
    table = lessons(
        {"alone": answers(np.arange(N) < 9, 0.5)}, tmp_path, load_settings(ROOT / "params.yaml").report
    )
    assert table.empty
