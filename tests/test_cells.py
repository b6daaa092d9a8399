"""Trained cells on disk: finished means that cell.json is there."""

import pandas as pd
import pytest

from fer_tasks.storage import cells
from fer_tasks.storage.model_folder import write_model_folder

HISTORY = pd.DataFrame(
    {"epoch": [1], "loss": [1.0], "accuracy": [0.5], "val_loss": [1.0], "val_accuracy": [0.5]}
)
TRAINED = cells.Trained(b"model", HISTORY)


def about(name: str, status: str = "trained", accuracy: float = 0.5, loss: float = 1.0) -> dict:
    settings = {"model": "m", "recipe": "r", "epochs": 3}
    figures = {"val_accuracy": accuracy, "val_loss": loss} if status == "trained" else {}
    reason = "" if status == "trained" else "no memory"
    return {
        "cell": name,
        "settings": settings,
        "fingerprint": "f",
        "status": status,
        "reason": reason,
        **figures,
    }


def test_a_cell_comes_back_as_it_was(tmp_path):
    cells.write_cell(tmp_path / "a", about("a"), TRAINED)
    assert cells.read_cell(tmp_path / "a") == about("a")
    assert cells.read_history(tmp_path / "a").equals(HISTORY)
    assert cells.model_file(tmp_path / "a").read_bytes() == b"model"
    assert cells.model_file(tmp_path / "b") is None


@pytest.mark.parametrize(
    ("written", "fingerprint", "trained"),
    [
        (about("a"), "f", True),
        (about("a"), "other", False),
        (about("a", "failed"), "f", False),
        (None, "f", False),
    ],
)
def test_only_this_very_cell_counts_as_trained(tmp_path, written, fingerprint, trained):
    if written:
        cells.write_cell(tmp_path / "a", written, TRAINED)
    assert cells.is_trained(tmp_path / "a", fingerprint) is trained


def test_a_cell_that_failed_may_leave_its_last_good_epoch(tmp_path):
    cells.write_cell(tmp_path / "a", about("a", "failed"), TRAINED)
    assert cells.read_history(tmp_path / "a").equals(HISTORY) and not cells.is_trained(tmp_path / "a", "f")


def test_the_leaderboard_counts_both_phases_and_tells_notes(tmp_path):
    tuned = about("a") | {"note": "out of memory at batch size 32: trained at 16"}
    tuned["settings"] = {**tuned["settings"], "fine_tune": {"learning_rate": 0.1, "epochs": 4}}
    cells.write_cell(tmp_path / "a", tuned, TRAINED)
    board = cells.leaderboard(tmp_path, ["a"])
    assert board.loc[0, ["epochs", "note"]].tolist() == [7, "out of memory at batch size 32: trained at 16"]


def test_a_cell_that_fails_now_leaves_no_model_of_before(tmp_path):
    cells.write_cell(tmp_path / "a", about("a"), TRAINED)
    cells.write_cell(tmp_path / "a", about("a", "failed"), None)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["cell.json"]


def test_a_folder_in_a_cell_s_folder_is_left_alone(tmp_path):
    cells.write_cell(tmp_path / "a", about("a"), TRAINED)
    (tmp_path / "a" / ".ipynb_checkpoints").mkdir()
    (tmp_path / "a" / ".ipynb_checkpoints" / "history.csv").write_text("x")
    cells.write_cell(tmp_path / "a", about("a", "failed"), None)
    assert {path.name for path in (tmp_path / "a").iterdir()} == {"cell.json", ".ipynb_checkpoints"}
    cells.clear_cell(tmp_path / "a")
    cells.write_cell(tmp_path / "a", about("a"), TRAINED)
    write_model_folder(tmp_path / "best", tmp_path / "a", None, {})
    assert cells.read_cell(tmp_path / "best") == about("a")


def test_a_log_goes_on_with_the_cell_and_outlives_its_other_files(tmp_path):
    folder = tmp_path / "a"
    for said in ("begins", "goes on"):
        cells.begin_log(folder, "f")
        cells.log(folder, said)
    cells.write_cell(folder, about("a"), TRAINED)
    first, *lines = (folder / cells.LOG).read_text().splitlines()
    assert first == "cell a, fingerprint f"
    assert [line.split(" ", 2)[2] for line in lines] == ["begins", "goes on"]
    cells.begin_log(folder, "other")
    assert (folder / cells.LOG).read_text() == "cell a, fingerprint other\n"


def test_the_leaderboard_is_by_validation_and_the_failed_come_last(tmp_path):
    for cell in (
        about("a", accuracy=0.5),
        about("b", "failed"),
        about("c", accuracy=0.7, loss=2),
        about("d", loss=0.4),
    ):
        cells.write_cell(tmp_path / cell["cell"], cell, TRAINED)
    board = cells.leaderboard(tmp_path, ["a", "b", "c", "d", "not there"])
    assert board["cell"].tolist() == ["c", "d", "a", "b"]
    assert board["reason"].tolist() == ["", "", "", "no memory"]


def test_an_ensemble_is_a_row_that_is_no_network(tmp_path):
    cells.write_cell(tmp_path / "a", about("a"), TRAINED)
    pair = about("pair", accuracy=0.9) | {"settings": {"id": "pair", "members": ["a", "b"]}, "parameters": 7}
    cells.write_cell(tmp_path / "pair", pair, None)
    cells.write_cell(tmp_path / "lost", about("lost", "failed") | {"settings": pair["settings"]}, None)
    board = cells.leaderboard(tmp_path, ["a", "pair", "lost"])
    assert board["cell"].tolist() == ["pair", "a", "lost"]
    assert board.loc[0, ["model", "recipe", "parameters"]].tolist() == [cells.ENSEMBLE, "", 7]
    assert cells.networks(board)["cell"].tolist() == ["a"]
    assert cells.is_trained(tmp_path / "pair", "f")


def test_best_is_a_copy_and_what_is_not_of_the_grid_is_set_aside_until_it_is(tmp_path):
    models, aside = tmp_path / "models", tmp_path / "aside"
    for name in ("a", "b"):
        cells.write_cell(models / name, about(name), TRAINED)
    cells.write_cell(models / "lost", about("lost", "failed"), None)
    (models / "begun").mkdir()
    write_model_folder(models / "best", models / "b", None, {})
    assert cells.archive_cells(models, aside, {"a": "other", "b": "f"}) == ["a"]
    assert sorted(path.name for path in models.iterdir()) == ["b", "best"]
    assert cells.read_cell(models / "best")["cell"] == "b"
    cells.write_cell(models / "a", about("a") | {"fingerprint": "other"}, TRAINED)
    assert cells.restore_cells(models, aside, {"a": "other", "b": "f"}) == []
    assert cells.archive_cells(models, aside, {"a": "f"}) == ["a", "b"]
    assert cells.restore_cells(models, aside, {"a": "f"}) == ["a"]
    assert cells.is_trained(models / "a", "f") and (models / "a" / "model.keras").exists()
    assert sorted(path.name for path in aside.iterdir()) == ["a-other", "b-f"]
    assert cells.archive_cells(tmp_path / "nowhere", aside, {}) == []
