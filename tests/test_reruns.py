"""A second run costs what has changed, and a killed one goes on: `dvc repro` for real."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
import yaml
from diskcache import Cache

from fer_tasks.storage.dataset import read_dataset
from testing.project_copy import change_params, copy_project, environment
from tests.project import BROKEN, CELL, content, ended, shrink, succeeds

pytestmark = pytest.mark.slow
REBUILD = "import sys; from flows.rebuild import rebuild; sys.exit(10 + rebuild())"


def begin(project: Path, *command: str, **extra: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=project,
        env=environment(project, **extra),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def figures(project: Path) -> dict:
    """What must not depend on how often a run was killed."""
    metrics = json.loads((project / "reports" / "metrics.json").read_text())
    histories = {p.parent.name: p.read_text() for p in (project / "models").glob("*/history.csv")}
    return {**metrics, **histories}


def test_nothing_changed_nothing_runs(built, server):
    output = succeeds(built, "dvc", "repro", **server)
    assert "Running stage" not in output and "up to date" in output


def test_a_report_made_again_measures_no_model_again_and_changes_no_metric(built, server, tmp_path):
    project = tmp_path / "again"
    subprocess.run(["cp", "-r", str(built), str(project)], check=True)
    board = (project / "reports" / "leaderboard.csv").read_text()
    output = succeeds(project, "dvc", "repro", "--force", "--single-item", "report", **server)
    assert "measure_latency: 0 of 2 computed, 2 reused" in output
    assert succeeds(project, "dvc", "metrics", "diff") == ""
    assert (project / "reports" / "leaderboard.csv").read_text() == board


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
    process = begin(project, "-m", "dvc", "repro", **server)
    wait_until_midway(project, stage, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    lock = project / "dvc.lock"
    assert not lock.exists() or stage not in yaml.safe_load(lock.read_text())["stages"]
    output = succeeds(project, "dvc", "repro", **server)
    assert ("1 of them trained already" if stage == "train" else " reused") in output
    assert content(project / "data" / "faces") == content(built / "data" / "faces")
    assert figures(project) == figures(built)


def wait_until_midway(project: Path, stage: str, process: subprocess.Popen) -> None:
    """Until some of the stage's work is kept and some is still to be done."""
    deadline = time.monotonic() + 240
    known = project / ".cache" / "results" / "crop_faces" / "detect"  # a folder for each digest of the code
    while not ended(process) and time.monotonic() < deadline:
        if stage == "train" and list((project / "models").glob("*/cell.json")):
            return
        if stage == "crop_faces" and any(len(Cache(str(file.parent))) for file in known.glob("*/cache.db")):
            return
    raise AssertionError(f"{stage} was not seen midway")


def test_a_run_that_is_told_to_end_waits_for_no_cell_and_leaves_no_process(built, tmp_path):
    cells = [{**CELL, "id": name, "epochs": 1000} for name in ("long", "longer")]
    project = shrink(copy_project(tmp_path / "told"), *cells)
    subprocess.run(["cp", "-r", str(built / "data"), str(project)], check=True)
    process = begin(project, "-m", "flows.train")
    log = project / "models" / "long" / "train.log"
    deadline = time.monotonic() + 240
    while not (log.exists() and "epoch 1 of" in log.read_text()):
        assert not ended(process) and time.monotonic() < deadline
    children = psutil.Process(process.pid).children(recursive=True)
    assert any("uvicorn" in child.cmdline() for child in children), "a server of its own"
    process.terminate()
    assert process.wait(timeout=60)
    assert psutil.wait_procs(children, timeout=60)[1] == []
    assert not (project / "models" / "long" / "cell.json").exists()
    assert (project / ".cache" / "checkpoints" / "long.npz").exists()


def test_a_rebuild_that_is_cancelled_ends_the_stage_that_it_is_at(server, tmp_path):
    project = shrink(copy_project(tmp_path / "cancelled"))
    process = begin(project, "-c", REBUILD, **server)
    deadline = time.monotonic() + 240
    while not (project / ".cache" / "sample").exists():
        assert not ended(process) and time.monotonic() < deadline
    started = psutil.Process(process.pid).children(recursive=True)
    assert any("flows.download" in child.cmdline() for child in started)
    process.terminate()  # what a worker does with a run that is cancelled in the UI
    assert process.wait(timeout=60) and psutil.wait_procs(started, timeout=60)[1] == []
    assert not (project / "data" / "raw" / "dataset.json").exists()


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
