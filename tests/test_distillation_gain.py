"""The gain of distillation compares a student with the same cell without a teacher, and no others."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fer_tasks.storage import cells
from flows.grid.distillation_gain import COLUMNS, SCORES, distillation_gain
from flows.grid.predictions import Predictions

SAME = {"model": "resnet", "epochs": 3, "seed": 1, "memory": 2, "distil": None}
TAUGHT = {"teacher": "three", "temperature": 3, "soft": 0.9, "hard": 0.1}
N = 400


def predictions(correct: np.ndarray) -> Predictions:
    """The true expression where `correct`, else the next one."""
    y_true = np.arange(N) % 7
    named = np.where(correct, y_true, (y_true + 1) % 7)
    return Predictions(pd.DataFrame(), y_true, np.eye(7, dtype=np.float32)[named])


def board(predicted: dict[str, Predictions]) -> pd.DataFrame:
    """A leaderboard whose losses and calibration errors are multiples of the accuracies."""
    accuracies = {cell: one.correct.mean() for cell, one in predicted.items()}
    rows = [(cell, share, 2 * share, 0.08 * share) for cell, share in accuracies.items()]
    return pd.DataFrame(rows, columns=["cell", *SCORES])


@pytest.fixture
def write(tmp_path: Path):
    def write(cell: str, batch_size: int = 8, **settings: object) -> None:
        cells.write_cell(
            tmp_path / cell, {"settings": {**SAME, "id": cell, **settings}, "batch_size": batch_size}, None
        )

    return write


def test_a_student_stands_beside_its_baseline(tmp_path, write):
    write("student", distil=TAUGHT, memory=3)
    write("alone")
    write("other-seed", seed=2)
    write("half-batch", batch_size=4)
    write("without-baseline", distil=TAUGHT, epochs=4)
    cells.write_cell(tmp_path / "three", {"settings": {"members": ["alone"]}}, None)
    alone = np.arange(N) < 200
    predicted = dict.fromkeys(("other-seed", "half-batch", "without-baseline", "three"), predictions(alone))
    predicted |= {"student": predictions(np.arange(N) < 240), "alone": predictions(alone)}
    table = distillation_gain(board(predicted), predicted, tmp_path)
    assert list(table.columns) == COLUMNS
    (row,) = table.to_dict("records")
    assert (row["cell"], row["baseline"], row["teacher"]) == ("student", "alone", "three")
    assert (row["test_accuracy"], row["baseline_test_accuracy"], row["gain"]) == (
        0.6,
        0.5,
        pytest.approx(0.1),
    )
    assert row["gain_low"] < 0.1 < row["gain_high"] and row["differs"] is True and row["p"] < 1e-9
    assert (row["test_loss"], row["baseline_test_ece"]) == (1.2, 0.04)


def test_a_grid_without_students_has_no_gains(tmp_path, write):
    write("alone")
    predicted = {"alone": predictions(np.arange(N) < 9)}
    assert distillation_gain(board(predicted), predicted, tmp_path).empty
