"""What a build holds: `dvc repro` for real, in a copy of the project, on a small generated sample."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from fer_tasks.errors import UserError
from fer_tasks.labels import EXPRESSIONS
from fer_tasks.models import load_model
from fer_tasks.settings import load_settings
from fer_tasks.storage.dataset import read_dataset
from fer_tasks.storage.model_folder import read_model_info
from testing.project_copy import change_params, content, copy_project, environment
from tests.project import asked, run, shrink, succeeds

pytestmark = pytest.mark.slow


def test_kept_and_rejected_are_what_came_in_at_every_stage(built):
    stages = [read_dataset(built / "data" / name) for name in ("raw", "faces", "textfree", "clean")]
    came_in = len(content(built / ".cache" / "sample"))
    assert came_in == 7 * 13
    for stage in stages:
        assert len(stage.manifest) + len(stage.rejected) == came_in
        assert (stage.rejected["reason"] != "").all()
        assert stage.image_paths().map(os.path.exists).all()
        came_in = len(stage.manifest)
    for before, after in zip(stages, stages[1:], strict=False):
        parents = set(after.manifest.get("parent_id", [])) | set(after.manifest["image_id"])
        assert set(before.manifest["image_id"]) <= parents | set(after.rejected["image_id"])
    for stage, own in zip(stages, (True, True, False, False), strict=True):
        assert len(content(stage.root / "images")) == (len(stage.manifest) if own else 0)
    features = read_dataset(built / "data" / "features" / "rgb32")
    assert features.manifest["image_id"].tolist() == stages[-1].manifest["image_id"].tolist()


def test_no_group_is_in_two_splits(built):
    clean = read_dataset(built / "data" / "clean").manifest
    assert (clean.groupby("group_id")["split"].nunique() == 1).all()
    assert set(clean["split"]) == {"train", "val", "test"}


def test_a_cell_that_fails_is_a_row_and_harms_no_other(built):
    cell = json.loads((built / "models" / "broken" / "cell.json").read_text())
    assert cell["status"] == "failed" and "there is no file none.h5" in cell["reason"]
    assert "there is no file none.h5" in (built / "reports" / "index.html").read_text()
    assert {"one", "two"} == set(json.loads((built / "reports" / "metrics.json").read_text())["cells"])


def test_the_best_model_is_that_of_validation(built):
    metrics = json.loads((built / "reports" / "metrics.json").read_text())
    best = max(metrics["cells"].values(), key=lambda cell: (cell["val_accuracy"], -cell["val_loss"]))
    assert metrics["best"]["val_loss"] == best["val_loss"]
    chosen = built / "models" / metrics["best"]["cell"]
    files = content(built / "models" / "best")
    assert files.keys() == {*content(chosen), "model.onnx", "model.json"}
    assert files.items() >= content(chosen).items()
    info = read_model_info(built / "models" / "best")
    assert info["name"] == metrics["best"]["cell"] and info["temperature"] != 1
    assert info["crop"] == read_dataset(built / "data" / "faces").info["settings"]
    assert info["figures"]["test"]["data"] == "sample, test split"
    for name, figure in (("accuracy", "test_accuracy"), ("ece_before", "test_ece")):
        assert round(info["figures"]["test"][name], 4) == metrics["best"][figure]
    page = (built / "reports" / "index.html").read_text()
    assert f"a temperature of {info['temperature']:.2f}" in page.replace("\n", " ")


ANSWER = """
import json, sys
from pathlib import Path
import numpy as np, onnxruntime
from fer_tasks.storage.model_folder import read_model_folder

model = read_model_folder(Path(sys.argv[1]))
session = onnxruntime.InferenceSession(model.onnx)
print(json.dumps(session.run(None, {"faces": np.load(sys.argv[2]).astype(np.float32)})[0].tolist()))
assert not {"tensorflow", "keras", "prefect", "dvc"} & set(sys.modules)
"""


def test_the_best_model_answers_elsewhere_without_tensorflow_as_it_does_here(built, tmp_path):
    shutil.copytree(built / "models" / "best", tmp_path / "elsewhere")
    features = built / "data" / "features" / "rgb32" / "X.npy"
    command = [sys.executable, "-c", ANSWER, str(tmp_path / "elsewhere"), str(features)]
    answers = np.array(json.loads(subprocess.check_output(command, cwd=built, text=True)))
    network = load_model(built / "models" / "best" / "model.keras")
    expected = network.predict(np.load(features).astype(np.float32), verbose=0)
    assert answers == pytest.approx(expected, abs=1e-5)
    assert (answers.argmax(axis=1) == expected.argmax(axis=1)).all()


def test_the_data_card_counts_what_the_datasets_hold(built):
    card = (built / "reports" / "data.html").read_text()
    clean = read_dataset(built / "data" / "clean")
    assert f"<strong>{len(clean.manifest)}</strong>" in card and f"clean faces of {7 * 13} pictures" in card
    for folder in ("raw", "faces", "textfree", "clean"):
        for reason, n in read_dataset(built / "data" / folder).info["rejected"].items():
            assert f'<h4>{reason} <span class="soft">· {n}</span></h4>' in card
    assert "data:image/jpeg;base64," in card and "copies" in card


def test_the_model_card_tells_what_the_best_model_achieves_on_test(built):
    card = (built / "reports" / "model_card.md").read_text()
    test = read_model_info(built / "models" / "best")["figures"]["test"]
    (model,) = yaml.safe_load(card.split("---\n")[1])["model-index"]
    metrics = model["results"][0]["metrics"]
    assert metrics[0]["value"] == round(test["accuracy"], 4) and f"| accuracy | {test['faces']} |" in card
    slices = [row.split(" | ") for row in card.splitlines() if row.startswith("| expression | ")]
    counts = [(int(row[2].split(",")[0]), float(row[3].split(" %")[0])) for row in slices if row[3] != "–"]
    assert sum(n for n, _ in counts) == test["faces"]
    assert sum(n * share / 100 for n, share in counts) == pytest.approx(
        test["accuracy"] * test["faces"], abs=0.1
    )
    assert "| covered | over 0.4 |" in card and "| face size | up to" in card
    page = (built / "reports" / "model.html").read_text()
    assert 'href="data.html"' in page and "Article 5(1)(f)" in page
    assert 'href="model.html"' in (built / "reports" / "index.html").read_text()
    assert (built / "reports" / "plots" / "slices.png").exists()


def test_metrics_and_plots_show(built):
    shown = succeeds(built, "dvc", "metrics", "show")
    assert "test_accuracy" in shown and "reports/live/metrics.json" in shown
    for command in (["show"], ["diff", "HEAD"]):
        succeeds(built, "dvc", "plots", *command)
        page = (built / "dvc_plots" / "index.html").read_text()
        assert '"cell": "one"' in page and '"cell": "two"' in page and "predicted" in page
    columns = succeeds(built, "dvc", "exp", "show", "--csv").splitlines()[0]
    assert {"one.val_accuracy", "two.val_loss", "cells.one.test_ece"} <= set(columns.split(","))


def test_git_gets_nothing_but_the_lock_and_the_metrics(built):
    command = ["git", "diff", "--name-only", "HEAD~1", "HEAD"]
    changed = subprocess.check_output(command, cwd=built, text=True).split()
    by_hand = {"params.yaml", "sources/sample.yaml", "grids/sample.yaml"}
    assert set(changed) - by_hand == {"dvc.lock", "reports/metrics.json"}


def test_the_leaderboard_beside_the_page_has_a_row_a_cell(built):
    board = pd.read_csv(built / "reports" / "leaderboard.csv").set_index("cell")
    assert set(board.index) == {"one", "two", "broken"} and board.index[-1] == "broken"
    trained = board.loc[["one", "two"]]
    assert trained[["test_ece", "bytes", "ms_a_face"]].notna().all(axis=None)
    assert board["gain"].notna().sum() == 1, "of the one that is not the best"
    sizes = [(built / "models" / cell / "model.keras").stat().st_size for cell in trained.index]
    assert trained["bytes"].tolist() == sizes
    recalls = trained[[f"recall_{expression}" for expression in EXPRESSIONS]]
    assert ((recalls >= 0) & (recalls <= 1)).all(axis=None)


def test_the_page_shows_faces_and_where_the_best_model_looks(built):
    html = (built / "reports" / "index.html").read_text()
    looks = html[html.index('<h2 id="looks">') : html.index('<h2 id="sheet">')]
    assert looks.count("data:image/jpeg;base64,") >= 1 and "predicted" in html


def test_each_cell_has_a_log(built):
    log = (built / "models" / "one" / "train.log").read_text()
    assert "training starts" in log and "epoch 2 of 2: loss" in log and "trained: validation accuracy" in log
    assert "failed: weights: there is no file none.h5" in (built / "models/broken/train.log").read_text()


def test_what_one_watches_in_the_ui(built, server):
    def artifacts(key: str) -> list[dict]:
        wanted = {"artifacts": {"key": {"any_": [key]}}}
        return asked(server["PREFECT_API_URL"], "/artifacts/filter", wanted).json()

    flows = asked(server["PREFECT_API_URL"], "/flows/filter", {}).json()
    stages = set(yaml.safe_load((built / "dvc.yaml").read_text())["stages"])
    assert stages <= {flow["name"] for flow in flows}
    assert {artifacts(key)[0]["type"] for key in ("crop-faces-detect", "train-one")} == {"progress"}
    assert 100.0 in [shown["data"] for shown in artifacts("crop-faces-detect")]
    boards = [{row["cell"] for row in json.loads(shown["data"])} for shown in artifacts("leaderboard")]
    assert {"one", "two", "broken"} in boards
    assert artifacts("curves-one")[0]["type"] == "image"
    for key, page in (("report", "index.html"), ("data-card", "data.html"), ("model-card", "model.html")):
        shown = [link["data"] for link in artifacts(key)]
        own = (built / "reports" / page).as_uri()
        assert any(own in link for link in shown), "the server shows another project's reports"


def test_push_pull_and_get_of_the_best_model(built, tmp_path):
    pushed, clone, home = tmp_path / "pushed", tmp_path / "clone", str(tmp_path / "home")
    subprocess.run(["cp", "-r", str(built), str(pushed)], check=True)
    (pushed / ".dvc" / "config.local").unlink()  # so it is the remote that every clone has
    succeeds(pushed, "dvc", "push", HOME=home)
    subprocess.run(["git", "clone", "-q", str(pushed), str(clone)], check=True)
    succeeds(clone, "dvc", "pull", HOME=home)
    assert "up to date" in succeeds(clone, "dvc", "status", HOME=home)
    for folder in ("data", "models", "reports"):
        assert content(clone / folder) == content(built / folder)
    succeeds(tmp_path, "dvc", "get", str(built), "models/best", "-o", "best")
    assert content(tmp_path / "best") == content(built / "models/best")


MISTAKES = [
    ("crop_faces", {"min_scor": 0.9}, "crop_faces.min_scor: unknown key; did you mean 'min_score'?"),
    ("clean", {"val_share": 2}, "clean.val_share: Input should be less than 1"),
    ("download", {"source": "photo"}, "does not exist; did you mean"),
    ("train", {"grid": "smaple"}, "no grid 'smaple'"),
    ("make_features", {"recipes": {"a": [{"op": "grey"}]}}, "no step 'grey'; choose one of"),
    ("make_features", {"recipes": {"a": [{"op": "gray"}]}}, "in params.yaml; choose one of ['a']"),
]


@pytest.fixture
def mistaken(built, tmp_path) -> Callable[[str, dict], Path]:
    """A function that makes a project with data and with a mistake in a section of its params.yaml."""

    def make(section: str, values: dict) -> Path:
        project = copy_project(tmp_path / "wrong")
        (project / "photos").mkdir()
        subprocess.run(["cp", "-r", str(built / "data"), str(project / "data")], check=True)
        change_params(project, **{section: values})
        return project

    return make


@pytest.mark.parametrize(("section", "values", "said"), MISTAKES)
def test_a_mistake_is_told_with_what_would_be_right(prefect, mistaken, monkeypatch, section, values, said):
    monkeypatch.chdir(mistaken(section, values))
    stage = getattr(import_module(f"flows.{section}"), section)
    with pytest.raises(UserError) as told:
        stage(load_settings())
    assert said in str(told.value) and "\n" not in str(told.value)


@pytest.mark.parametrize(("section", "values", "said"), [MISTAKES[1], MISTAKES[3]], ids=["settings", "flow"])
def test_a_mistake_is_one_clear_message(mistaken, server, section, values, said):
    """Before its flow has begun and in it."""
    done = run(mistaken(section, values), f"flows.{section}", **server)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"{section}: ")
    assert said in done.stderr and "Traceback" not in done.stdout + done.stderr


def test_without_a_server_or_a_home_that_can_be_written_a_stage_runs_just_the_same(built, tmp_path, database):
    project = shrink(copy_project(tmp_path / "alone", database))
    env = environment(project, HOME="/proc/nowhere")
    del env["PREFECT_HOME"]
    subprocess.run([sys.executable, "-m", "dvc", "repro", "download"], cwd=project, env=env, check=True)
    assert content(project / "data" / "raw") == content(built / "data" / "raw")
