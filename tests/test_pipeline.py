"""The whole line for real: `dvc repro` in a copy of the project, on a small generated sample."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pandas as pd
import pytest
import yaml
from diskcache import Cache

from benchmarks.workspace import change_params, copy_project, environment
from fer_tasks.dataset import read_dataset

pytestmark = pytest.mark.slow
PORT = "4299"
TINY = {"backbone": "MobileNetV2", "alpha": 0.35, "weights": "none", "trainable": True}
CELL = {"model": "transfer", "options": TINY, "recipe": "rgb32", "learning_rate": 0.001, "batch_size": 16}
GRID = {"cells": [{**CELL, "id": "one", "epochs": 2}, {**CELL, "id": "two", "epochs": 2, "seed": 7}]}
BROKEN = {**CELL, "id": "broken", "epochs": 1, "options": {**TINY, "weights": "none.h5"}}


def shrink(project: Path, *cells: dict) -> Path:
    """Make the work small: few photos, small features, quick cells."""
    sample = {"kind": "sample", "train_per_class": 8, "test_per_class": 5, "seed": 3}
    (project / "sources" / "sample.yaml").write_text(yaml.safe_dump(sample))
    (project / "grids" / "sample.yaml").write_text(yaml.safe_dump({"cells": [*GRID["cells"], *cells]}))
    recipes = {"rgb32": [{"op": "resize", "size": 32}]}
    change_params(project, make_features={"recipes": recipes}, train={"workers": 1})
    return project


def run(project: Path, *command: str, **extra: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=project,
        env=environment(project, **extra),
        capture_output=True,
        text=True,
    )


def succeeds(project: Path, *command: str, **extra: str) -> str:
    done = run(project, *command, **extra)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def ended(process: subprocess.Popen) -> bool:
    """Wait a moment for a process; has it ended?"""
    try:
        process.wait(timeout=0.2)
    except subprocess.TimeoutExpired:
        return False
    return True


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", trust_env=False).text == "true"
    except httpx.HTTPError:
        return False


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A Prefect server as `make server` starts it; yields the environment that points there."""
    home = copy_project(tmp_path_factory.mktemp("server"))
    here = {"PREFECT_SERVER_API_PORT": PORT}
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.server"], cwd=home, env=environment(home, **here)
    )
    url = f"http://127.0.0.1:{PORT}/api"
    deadline = time.monotonic() + 120
    while not ended(process) and time.monotonic() < deadline and not answers(url):
        pass
    yield {"PREFECT_API_URL": url}
    process.terminate()
    process.wait()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, server: dict[str, str]) -> Path:
    """A project after its first `dvc repro`, with a server and a cell that fails, all committed."""
    project = shrink(copy_project(tmp_path_factory.mktemp("built")), BROKEN)
    succeeds(project, "dvc", "repro", **server)
    commit(project)
    return project


def commit(project: Path) -> None:
    who = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    for command in (["add", "-A"], [*who, "commit", "-q", "-m", "built"]):
        subprocess.run(["git", *command], cwd=project, check=True)


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def figures(project: Path) -> dict:
    """What must not depend on how often a run was killed."""
    metrics = json.loads((project / "reports" / "metrics.json").read_text())
    histories = {p.parent.name: p.read_text() for p in (project / "models").glob("*/history.csv")}
    return {**metrics, **histories}


def test_kept_and_rejected_are_what_came_in_at_every_stage(built):
    stages = [read_dataset(built / "data" / name) for name in ("raw", "faces", "textfree", "clean")]
    came_in = len(content(built / ".cache" / "sample"))
    assert came_in == 7 * 13
    for stage in stages:
        assert len(stage.manifest) + len(stage.rejected) == came_in
        assert (stage.rejected["reason"] != "").all() and len(content(stage.root / "images")) == len(
            stage.manifest
        )
        came_in = len(stage.manifest)
    for before, after in zip(stages, stages[1:], strict=False):
        parents = set(after.manifest.get("parent_id", [])) | set(after.manifest["image_id"])
        assert set(before.manifest["image_id"]) <= parents | set(after.rejected["image_id"])
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
    assert content(built / "models" / "best") == content(chosen)


def test_metrics_and_plots_show(built):
    assert "test_accuracy" in succeeds(built, "dvc", "metrics", "show")
    succeeds(built, "dvc", "plots", "show")
    page = (built / "dvc_plots" / "index.html").read_text()
    assert '"cell"' in page and "predicted" in page


def test_what_one_watches_in_the_ui(built, server):
    def artifacts(key: str) -> list[dict]:
        asked = {"artifacts": {"key": {"any_": [key]}}}
        newest = f"{server['PREFECT_API_URL']}/artifacts/latest/filter"
        return httpx.post(newest, json=asked, trust_env=False).json()

    flows = httpx.post(f"{server['PREFECT_API_URL']}/flows/filter", json={}, trust_env=False).json()
    stages = set(yaml.safe_load((built / "dvc.yaml").read_text())["stages"])
    assert stages <= {flow["name"] for flow in flows}
    assert {artifacts(key)[0]["type"] for key in ("crop-faces-detect", "train-one")} == {"progress"}
    assert artifacts("crop-faces-detect")[0]["data"] == 100.0
    assert {row["cell"] for row in json.loads(artifacts("leaderboard")[0]["data"])} == {
        "one",
        "two",
        "broken",
    }
    assert artifacts("curves-one")[0]["type"] == "image"
    assert f"http://127.0.0.1:{PORT}/reports/" in artifacts("report")[0]["data"]


def test_nothing_changed_nothing_runs(built, server):
    output = succeeds(built, "dvc", "repro", **server)
    assert "Running stage" not in output and "up to date" in output


def test_push_pull_and_get_of_the_best_model(built, tmp_path):
    succeeds(built, "dvc", "push")
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(built), str(clone)], check=True)
    succeeds(clone, "dvc", "remote", "modify", "local", "url", str(built / ".dvc-remote"))
    succeeds(clone, "dvc", "pull")
    for folder in ("data", "models", "reports"):
        assert content(clone / folder) == content(built / folder)
    succeeds(tmp_path, "dvc", "get", str(built), "models/best/model.keras", "-o", "best.keras")
    assert (tmp_path / "best.keras").read_bytes() == (built / "models/best/model.keras").read_bytes()


def test_one_picture_more_is_one_detection_more(built, server, tmp_path):
    project = shrink(copy_project(tmp_path / "more"))
    photos = project / "photos"
    subprocess.run(["cp", "-r", str(built / ".cache" / "sample"), str(photos)], check=True)
    change_params(project, download={"source": "photos"})
    succeeds(project, "dvc", "repro", "drop_text", **server)
    new = next(photos.rglob("happy-0000.jpg"))
    new.with_name("again.jpg").write_bytes(new.read_bytes() + b"\0")
    output = succeeds(project, "dvc", "repro", "drop_text", **server)
    again = {task: int(n) for task, n in re.findall(r"(\w+): (\d+) of \d+ computed", output)}
    assert again == {"inspect": 1, "detect": 1, "cut": 1, "read": 1}


@pytest.mark.parametrize("stage", ["crop_faces", "train"])
def test_a_killed_run_goes_on_and_ends_as_if_it_was_not(built, server, tmp_path, stage):
    project = shrink(copy_project(tmp_path / "killed"), BROKEN)
    if stage == "train":
        succeeds(project, "dvc", "repro", "make_features", **server)
    process = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro"],
        cwd=project,
        env=environment(project, **server),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_until_midway(project, stage, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (project / "dvc.lock").exists() or stage not in (project / "dvc.lock").read_text()
    output = succeeds(project, "dvc", "repro", **server)
    assert ("1 of them trained already" if stage == "train" else " reused") in output
    assert content(project / "data" / "faces") == content(built / "data" / "faces")
    assert figures(project) == figures(built)


def wait_until_midway(project: Path, stage: str, process: subprocess.Popen) -> None:
    """Until some of the stage's work is kept and some is still to be done."""
    deadline = time.monotonic() + 240
    known = project / ".cache" / "results" / "crop_faces" / "detect"
    while not ended(process) and time.monotonic() < deadline:
        if stage == "train" and list((project / "models").glob("*/cell.json")):
            return
        if stage == "crop_faces" and known.exists() and len(Cache(str(known))):
            return
    raise AssertionError(f"{stage} was not seen midway")


@pytest.mark.parametrize(
    ("section", "values", "said"),
    [
        ("crop_faces", {"min_scor": 0.9}, "crop_faces.min_scor: unknown key; did you mean 'min_score'?"),
        ("clean", {"val_share": 2}, "clean.val_share: Input should be less than 1"),
        ("download", {"source": "photo"}, "does not exist; did you mean"),
        ("train", {"grid": "smaple"}, "no grid 'smaple'"),
        ("make_features", {"recipes": {"a": [{"op": "grey"}]}}, "no step 'grey'; choose one of"),
    ],
)
def test_a_mistake_is_one_clear_message(built, server, tmp_path, section, values, said):
    project = copy_project(tmp_path / "wrong")
    (project / "photos").mkdir()
    subprocess.run(["cp", "-r", str(built / "data"), str(project / "data")], check=True)
    change_params(project, **{section: values})
    done = run(project, f"flows.{section}", **server)
    assert done.returncode == 1
    assert said in done.stderr and "Traceback" not in done.stdout + done.stderr


def test_without_a_server_a_stage_runs_just_the_same(built, tmp_path):
    project = shrink(copy_project(tmp_path / "alone"))
    succeeds(project, "dvc", "repro", "download", PREFECT_SERVER_API_PORT="4298")
    assert content(project / "data" / "raw") == content(built / "data" / "raw")


def test_a_decision_is_applied_and_what_follows_is_rebuilt(built, server, tmp_path):
    project = shrink(copy_project(tmp_path / "decided"))
    subprocess.run(
        ["cp", "-r", *(str(built / name) for name in ("data", ".cache", "dvc.lock")), str(project)],
        check=True,
    )
    face = read_dataset(built / "data" / "clean").manifest.iloc[0]
    row = {"image_id": face["image_id"], "pixels": face["pixels"], "verdict": "relabel", "label": "sad"}
    table = pd.DataFrame([{**row, "reviewer": "kim", "time": "2026-11-24", "note": ""}])
    table.to_csv(project / "review" / "decisions.csv", index=False)
    succeeds(project, "flows.clean", **server)
    clean = read_dataset(project / "data" / "clean").manifest.set_index("image_id")
    assert clean.loc[face["image_id"], ["label", "reviewer"]].tolist() == ["sad", "kim"]


def test_a_rebuild_happens_when_the_source_has_changed(built, server, tmp_path):
    project = shrink(copy_project(tmp_path / "nightly"))
    photos = project / "photos"
    subprocess.run(["cp", "-r", str(built / ".cache" / "sample"), str(photos)], check=True)
    change_params(project, download={"source": "photos"})
    rebuild = "import sys; from flows.rebuild import rebuild; sys.exit(10 + rebuild())"
    command = [sys.executable, "-c", rebuild]
    env = environment(project, **server)

    def status() -> int:
        return subprocess.run(command, cwd=project, env=env, capture_output=True).returncode

    assert status() == 11 and (project / "reports" / "metrics.json").exists()
    assert status() == 10, "unchanged: nothing to do"
    next(photos.rglob("*.png")).unlink()
    assert status() == 11, "a picture less: again"
    assert any((project / ".dvc-remote").rglob("*")), "and pushed"
