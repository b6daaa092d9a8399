"""The grid as a flow: what cannot be trained is refused, what fails is a row, what is killed resumes."""

import json
import multiprocessing
import os
import re
import signal
import threading
import time
from contextlib import chdir
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from prefect.context import get_settings_context
from prefect.task_runners import ProcessPoolTaskRunner, ThreadPoolTaskRunner

from fer_tasks.errors import UserError
from fer_tasks.evaluation.scores import scores
from fer_tasks.labels import VOTES
from fer_tasks.models import load_model
from fer_tasks.storage import cells
from fer_tasks.storage.dataset import read_dataset, write_dataset
from fer_tasks.storage.files import read_array
from fer_tasks.storage.model_folder import read_model_folder
from fer_tasks.training.vote_labels import vote_labels
from flows.grid.model_export import run_onnx
from flows.grid.predictions import CellQuery, PredictedSplit, predict_cells, predictions_of
from flows.train import train
from tests.training_project import CROP, about, in_a_flow, make_project, predicted, run

pytestmark = pytest.mark.slow
LONG = {"epochs": 10, "optimizer": "adam", "learning_rate": 0.001}  # long enough to be killed on the way
RICH = {"augmentation": "strong", "ema": 0.9, "schedule": "one_cycle", "label_smoothing": 0.1}
DISTIL = {"teacher": "pair", "temperature": 2, "soft": 0.5, "hard": 0.5}
PAIR = {"id": "pair", "members": ["a", "b"], "ridge": 0.1}
OTHERS = (
    {"id": "student", "epochs": 2, "distil": DISTIL},
    {"id": "a"},
    {"id": "b", "seed": 7},
)
TINY = {"backbone": "MobileNetV2", "alpha": 0.35}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(make_project(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def trained(prefect, tmp_path_factory) -> Path:
    """A project with cells, an ensemble of two and a student of it, all trained."""
    made = make_project(tmp_path_factory.mktemp("trained"))
    with chdir(made):
        run(made, *OTHERS, ensembles=[PAIR])
    return made


def weights(project: Path, cell: str) -> list[np.ndarray]:
    return load_model(project / "models" / cell / "model.keras").get_weights()


def kill_the_trainer_after(file: Path) -> threading.Thread:
    """Kill the child process of ours that has written this checkpoint, once."""

    def kill() -> None:
        deadline = time.monotonic() + 300
        while not file.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        for child in multiprocessing.active_children():
            os.kill(child.pid, signal.SIGKILL)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    return thread


def test_what_cannot_be_trained_is_refused_before_anything_is(prefect, project):
    wrong = [
        {"id": "fine"},
        {"id": "vectors", "recipe": "vector"},
        {"id": "small", "model": "transfer", "options": TINY},
        {"id": "no-backbone", "fine_tune": {"learning_rate": 0.1, "epochs": 1}},
        {"id": "typo", "model": "resnt"},
        {"id": "option", "options": {"widht": 1}},
    ]
    with pytest.raises(UserError) as refused:
        run(project, *wrong)
    lines = str(refused.value).splitlines()
    assert [line.split(":")[0] for line in lines] == [
        f"cell {name}" for name in ("vectors", "small", "no-backbone", "typo", "option")
    ]
    assert "this recipe gives vectors of shape (9,)" in lines[0] and "has no backbone" in lines[2]
    assert "no model 'resnt'; choose one of" in lines[3] and "unexpected keyword argument 'widht'" in lines[4]
    assert not (project / "models").exists()


def test_a_cell_whose_process_is_killed_resumes_and_the_others_are_not_harmed(prefect, project):
    checkpoint = project / ".cache" / "checkpoints" / "cut.npz"
    killer = kill_the_trainer_after(checkpoint)
    run(
        project,
        {"id": "cut", **RICH, **LONG},
        {"id": "whole", **RICH, **LONG},
        {"id": "diverges", "learning_rate": 1e38, "epochs": 2},
        by=train.with_options(task_runner=ThreadPoolTaskRunner(max_workers=1)),
    )
    killer.join()
    assert all(
        np.array_equal(*both) for both in zip(weights(project, "cut"), weights(project, "whole"), strict=True)
    )
    assert (about(project, "cut")["status"], about(project, "cut")["note"]) == ("trained", "")
    assert about(project, "cut")["batch_size"] == 8
    board = cells.leaderboard(project / "models", ["cut", "whole", "diverges"])
    assert sorted(board["status"]) == ["failed", "trained", "trained"]
    assert "became NaN" in board["reason"][2]
    log = (project / "models" / "cut" / "train.log").read_text()
    assert log.count("fingerprint") == 1 and "resumes after epoch" in log
    epochs = [int(n) for n in re.findall(r"epoch (\d+) of 10: ", log)]
    assert epochs == sorted(set(epochs)) and epochs[-1] == 10, "none is trained twice"
    assert "resumes" not in (project / "models" / "whole" / "train.log").read_text()
    live = json.loads((project / "reports" / "live" / "metrics.json").read_text())
    assert (live["cut"]["epoch"], live["step"]) == (10, 10 + 10), "of both"
    assert not checkpoint.exists(), "it goes when the cell is done"


def test_cells_share_a_frozen_backbone_s_features_which_go_when_all_are_done(prefect, project, caplog):
    shared = {
        "model": "transfer",
        "options": {**TINY, "weights": "none"},
        "recipe": "rgb32",
        "augmentation": "light",
    }
    run(
        project,
        {"id": "one", **shared},
        {"id": "two", **shared, "learning_rate": 0.01, "views": 2},
        {"id": "diverges", **shared, "learning_rate": 1e38, "optimizer": "sgd"},
    )
    said = [line for line in caplog.messages if "features of MobileNetV2" in line]
    assert {line.split(": ")[1] for line in said} == {"features of MobileNetV2"}
    assert sum("of 126" in line for line in said) >= 1, "three views of 42 pictures"
    board = cells.leaderboard(project / "models", ["one", "two", "diverges"]).set_index("cell")
    assert board.loc[["one", "two"], "status"].tolist() == ["trained", "trained"]
    assert board.loc["one", "note"] == ""
    assert board.loc["two", "note"] == "2 views of the augmented pictures for 3 epochs"
    assert load_model(project / "models" / "one" / "model.keras").input_shape[1:] == (32, 32, 3)
    assert not list((project / ".cache" / "features").iterdir())


def test_views_are_of_a_frozen_backbone(prefect, project):
    with pytest.raises(UserError, match="cell whole: views: alizadeh_fazel.* has no frozen backbone"):
        run(project, {"id": "whole", "augmentation": "light", "views": 2})


def test_an_ensemble_waits_for_its_members_and_a_student_for_its_teacher(trained, copied):
    project = copied(trained)
    names = ["student", "a", "b", "pair", "pair.log_likelihood", "pair.hinge"]
    board = cells.leaderboard(project / "models", names).set_index("cell")
    assert len(board) == 6 and (board["status"] == "trained").all()
    mean = (predicted(project, "a", slice(42, 56)) + predicted(project, "b", slice(42, 56))) / 2
    scored = scores(np.arange(42, 56) % 7, mean)
    assert board.loc["pair", "val_accuracy"] == pytest.approx(scored["accuracy"], abs=1e-4)
    assert board.loc["pair", "val_loss"] == pytest.approx(scored["loss"], abs=1e-3)
    assert board.loc["pair.log_likelihood", "val_loss"] <= board.loc["pair", "val_loss"] + 0.01
    assert board.loc["pair", "parameters"] == 2 * board.loc["a", "parameters"]
    for name in ("pair.log_likelihood", "pair.hinge"):
        weights = about(project, name)["weights"]
        assert list(weights) == ["a", "b"] and sum(weights.values()) == pytest.approx(1)
        assert "fitted on the validation pictures" in board.loc[name, "note"]
    assert board.loc["student", "note"] == "taught by pair"
    assert about(project, "best")["cell"] in ("student", "a", "b"), "a single network"
    best = read_model_folder(project / "models" / "best")
    assert (best.info["crop"], best.info["recipe"]) == (CROP, [{"op": "gray"}])
    assert (
        best.info["figures"]["validation"]["data"] == "people, validation split"
        and "test" not in best.info["figures"]
    )
    faces = np.array(read_array(project / "data/features/gray16/X.npy")[42:])
    assert run_onnx(best.onnx, faces) == pytest.approx(predicted(project, "best", slice(42, 56)), abs=1e-5)

    split = PredictedSplit("train", project / "models", project / "data/features", 1)
    taught = in_a_flow(predictions_of, ["pair", "a"], split)
    expected = (predicted(project, "a", slice(42)) + predicted(project, "b", slice(42))) / 2
    assert taught["pair"].probabilities == pytest.approx(expected, abs=1e-5)
    assert taught["a"].y_true.tolist() == [i % 7 for i in range(42)]
    flipped = [CellQuery("a", "flip"), CellQuery("b", "flip")]
    (project / "models" / "b" / "model.keras").write_bytes(b"half of a model")
    with pytest.raises(UserError, match="b/model.keras cannot be read .*; remove .*models/b, and"):
        in_a_flow(predict_cells, flipped, split)
    (project / "models" / "a" / "model.keras").unlink()
    in_a_flow(predict_cells, flipped[:1], split)  # predicted before the damaged one was met, and cached
    cached = in_a_flow(predictions_of, ["pair"], split)["pair"].probabilities
    assert np.array_equal(cached, taught["pair"].probabilities), "cached: no model predicts again"
    with pytest.raises(UserError, match="no picture in the test split"):
        in_a_flow(predictions_of, ["pair"], split._replace(name="test"))


def test_what_is_made_of_others_is_made_anew_with_them_and_only_then(trained, copied):
    project = copied(trained)
    files = {file: file.stat().st_mtime_ns for file in (project / "models").glob("*/cell.json")}
    run(project, *OTHERS, ensembles=[PAIR])
    again = {file.parent.name for file, at in files.items() if file.stat().st_mtime_ns != at}
    assert not again, "models/best, too, is as it was"
    before = about(project, "student")["fingerprint"]
    run(project, *OTHERS[:2], {"id": "b", "seed": 8}, ensembles=[PAIR])
    again = {file.parent.name for file, at in files.items() if file.stat().st_mtime_ns != at}
    assert again == {"best", "b", "pair", "pair.log_likelihood", "pair.hinge", "student"}
    assert about(project, "student")["fingerprint"] != before
    run(project, {"id": "a"})
    assert {folder.name for folder in (project / "models").iterdir()} == {"a", "best"}
    run(project, *OTHERS, ensembles=[PAIR])
    again = {file.parent.name for file, at in files.items() if file.stat().st_mtime_ns != at}
    assert again <= {"best"}, "what was trained for a grid is there when that grid is asked for again"


def test_without_its_teacher_a_student_fails_and_the_others_are_not_harmed(prefect, project):
    diverges = {"id": "b", "learning_rate": 1e38, "epochs": 1}
    run(project, *OTHERS[:2], diverges, ensembles=[PAIR, {"id": "alone", "members": ["a"]}])
    assert about(project, "a")["status"] == about(project, "alone")["status"] == "trained"
    assert about(project, "pair.hinge")["reason"].startswith("b is not trained: loss became NaN")
    assert about(project, "student")["reason"].startswith("pair is not trained: b is not trained")


def test_recipes_of_other_pictures_are_refused(prefect, project):
    root = project / "data" / "features" / "vector"
    manifest = read_dataset(root).manifest.assign(label="happy")
    write_dataset(root, manifest, manifest.iloc[:0].assign(reason="", detail=""), {}, {"steps": []})
    with pytest.raises(UserError, match="gray16 and .*vector hold different pictures; `dvc repro"):
        run(project, {"id": "a"}, {"id": "b", "recipe": "vector"})


def test_cells_are_trained_where_the_task_runner_says(prefect, project, monkeypatch):
    """In processes of its own: nothing of a cell's task is bound to the flow's process."""
    # The runner's thread that forwards events starts a server where the settings of all threads name none.
    monkeypatch.setattr("prefect.context.GLOBAL_SETTINGS_CONTEXT", get_settings_context())
    elsewhere = train.with_options(task_runner=ProcessPoolTaskRunner(max_workers=1))
    run(project, {"id": "a", "epochs": 2}, ensembles=[{"id": "alone", "members": ["a"]}], by=elsewhere)
    assert about(project, "a")["status"] == about(project, "alone")["status"] == "trained"
    live = json.loads((project / "reports" / "live" / "metrics.json").read_text())
    assert live["a"]["epoch"] == live["step"] == 2


def add_votes(root) -> pd.DataFrame:
    """Votes that all say happy, but for faces 0 and 50, which are no faces, and 1, without votes."""
    data = read_dataset(root / "data/features/gray16")
    votes = pd.DataFrame(np.eye(8)[[3] * len(data.manifest)], columns=VOTES)
    votes.iloc[[0, 50]], votes.iloc[1] = np.eye(8)[7], np.nan
    manifest = pd.concat([data.manifest, votes], axis=1)
    write_dataset(
        data.root, manifest, manifest.iloc[:0].assign(reason="", detail=""), {}, data.info["settings"]
    )
    return manifest


def test_a_cell_learns_from_votes_beside_one_that_learns_from_labels(prefect, project):
    manifest = add_votes(project)
    run(project, {"id": "own", "epochs": 1}, {"id": "voted", "labels": "votes", "epochs": 2})
    own, voted = (json.loads((project / "models" / i / "cell.json").read_text()) for i in ("own", "voted"))
    assert own["prior"] == pytest.approx([1 / 7] * 7, abs=1e-5) and (own["left_out"], own["note"]) == ({}, "")
    learnt = vote_labels(manifest)[0][2:42]
    assert voted["prior"] == pytest.approx(learnt.mean(axis=0), abs=1e-5) and voted["prior"][3] > 0.9
    assert voted["left_out"] == {"mostly_other": 2, "no_votes": 1}
    assert voted["note"] == ("learnt from votes, and validated on them; left out: 2 mostly_other, 1 no_votes")
    assert voted["val_accuracy"] == 1, "all of them say happy"


def test_votes_that_a_source_lacks_are_refused_before_training(prefect, project):
    with pytest.raises(UserError, match="cell a: labels: votes: the source has no votes; put FER.'s table"):
        run(project, {"id": "a", "labels": "votes"})
