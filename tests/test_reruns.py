"""A second run costs what has changed, and a killed one goes on: `dvc repro` for real."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from zipfile import ZipFile

import pandas as pd
import psutil
import pytest
import yaml
from diskcache import Cache

from fer_tasks.storage.dataset import read_dataset
from fer_tasks.storage.model_folder import read_model_info
from flows.clean import clean
from flows.crop_faces import crop_faces
from flows.download import download
from flows.drop_text import drop_text
from testing.project_copy import change_params, content, copy_project, environment
from tests.flow_runs import run_here
from tests.project import BROKEN, CELL, ended, shrink, succeeds

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


def log_of(project: Path, stage: str) -> str:
    """All that the stage's last run has logged."""
    return (project / ".cache" / "log" / f"{stage}.log").read_text()


def training_results(project: Path, *names: str) -> dict:
    """What training makes of these cells, and must not depend on how often it was killed."""
    results: dict = {"best": read_model_info(project / "models" / "best")["figures"]}
    for name in names:
        folder = project / "models" / name
        with ZipFile(folder / "model.keras") as network:
            weights = network.read("model.weights.h5")
        about = json.loads((folder / "cell.json").read_text()) | {"train_seconds": None}
        results[name] = (weights, about, (folder / "history.csv").read_text())
    return results


def test_nothing_changed_nothing_runs(built, server):
    output = succeeds(built, "dvc", "repro", **server)
    assert "Running stage" not in output and "up to date" in output


def test_a_report_made_again_measures_no_model_again_and_changes_no_metric(built, server, tmp_path):
    project = tmp_path / "again"
    subprocess.run(["cp", "-r", str(built), str(project)], check=True)
    board = (project / "reports" / "leaderboard.csv").read_text()
    succeeds(project, "dvc", "repro", "--force", "--single-item", "report", **server)
    assert "measure_latency: 0 of 2 computed, 2 reused" in log_of(project, "report")
    assert succeeds(project, "dvc", "metrics", "diff") == ""
    assert (project / "reports" / "leaderboard.csv").read_text() == board


def test_what_training_reads_is_seen_when_it_changes(built, tmp_path):
    project = tmp_path / "seen"
    subprocess.run(["cp", "-r", str(built), str(project)], check=True)
    for file, stages in (
        ("grids/modern.yaml", {"make_features", "train"}),
        ("pretrained/model.json", {"clean", "train"}),
    ):
        before = (project / file).read_bytes()
        (project / file).write_bytes(before + b"\n")
        assert set(json.loads(succeeds(project, "dvc", "status", "--json"))) == stages, file
        (project / file).write_bytes(before)


def test_one_picture_more_is_one_detection_more(built, prefect, server, tmp_path):
    project = copy_built(built, tmp_path / "more", "data/raw", "data/faces", "data/textfree", ".cache")
    photos = project / "photos"
    subprocess.run(["cp", "-r", str(built / ".cache" / "sample"), str(photos)], check=True)
    change_params(project, download={"source": "photos"})
    run_here(project, download, crop_faces, drop_text)
    new = next(photos.rglob("happy-0000.jpg"))
    new.with_name("again.jpg").write_bytes(new.read_bytes() + b"\0")
    succeeds(project, "dvc", "repro", "drop_text", **server)
    logs = "".join(log_of(project, stage) for stage in ("download", "crop_faces", "drop_text"))
    again = {task: int(n) for task, n in re.findall(r"(\w+): (\d+) of \d+ computed, [1-9]", logs)}
    assert again == {"inspect": 1, "detect": 1, "cut": 1, "read": 1}


def copy_built(built: Path, target: Path, *names: str) -> Path:
    """A small project with some folders of the one that is built, and what DVC knows of all its stages."""
    project = shrink(copy_project(target), BROKEN)
    for name in (*names, "dvc.lock", ".dvc/cache/files"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-r", str(built / name), str(project / name)], check=True)
    return project


def keep_stages(project: Path, *names: str) -> None:
    """Leave but these stages of the line."""
    stages = yaml.safe_load((project / "dvc.yaml").read_text())["stages"]
    (project / "dvc.yaml").write_text(yaml.safe_dump({"stages": {name: stages[name] for name in names}}))


def killed_midway(project: Path, stage: str, server: dict[str, str]) -> None:
    """Kill `dvc repro` in the middle of a stage, which DVC then does not take for done."""
    process = begin(project, "-m", "dvc", "repro", **server)
    wait_until_midway(project, stage, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert stage not in yaml.safe_load((project / "dvc.lock").read_text())["stages"]


def forget_stages(project: Path, *names: str) -> None:
    """As if they had never run."""
    lock = yaml.safe_load((project / "dvc.lock").read_text())
    lock["stages"] = {name: made for name, made in lock["stages"].items() if name not in names}
    (project / "dvc.lock").write_text(yaml.safe_dump(lock))


def test_a_killed_run_of_crop_faces_goes_on_and_ends_as_if_it_was_not(built, server, tmp_path):
    project = copy_built(built, tmp_path / "killed", "data/raw")
    keep_stages(project, "download", "crop_faces")
    forget_stages(project, "crop_faces")
    killed_midway(project, "crop_faces", server)
    succeeds(project, "dvc", "repro", **server)
    assert int(re.search(r"detect: \d+ of \d+ computed, (\d+) reused", log_of(project, "crop_faces"))[1])
    assert content(project / "data" / "faces") == content(built / "data" / "faces")


def test_a_killed_run_of_train_goes_on_and_ends_as_if_it_was_not(built, server, tmp_path):
    project = shrink(copy_built(built, tmp_path / "killed", "data"))
    keep_stages(project, "train")
    forget_stages(project, "train")
    killed_midway(project, "train", server)
    assert "1 of them trained already" in succeeds(project, "dvc", "repro", **server)
    assert training_results(project, "one", "two") == training_results(built, "one", "two")


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


def test_a_run_that_is_told_to_end_waits_for_no_cell_and_leaves_no_process(built, server, tmp_path):
    cells = [{**CELL, "id": name, "epochs": 1000} for name in ("long", "longer")]
    project = shrink(copy_project(tmp_path / "told"), *cells)
    subprocess.run(["cp", "-r", str(built / "data"), str(project)], check=True)
    process = begin(project, "-m", "flows.train", **server)
    log = project / "models" / "long" / "train.log"
    deadline = time.monotonic() + 240
    while not (log.exists() and "epoch 1 of" in log.read_text()):
        assert not ended(process) and time.monotonic() < deadline
    children = psutil.Process(process.pid).children(recursive=True)
    assert children, "cells are trained in processes of their own"
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


def test_a_decision_is_applied_and_what_follows_is_rebuilt(built, prefect, tmp_path):
    project = shrink(copy_project(tmp_path / "decided"))
    subprocess.run(
        ["cp", "-r", *(str(built / name) for name in ("data", ".cache", "dvc.lock")), str(project)],
        check=True,
    )
    face = read_dataset(built / "data" / "clean").manifest.iloc[0]
    row = {"image_id": face["image_id"], "pixels": face["pixels"], "verdict": "relabel", "label": "sad"}
    table = pd.DataFrame([{**row, "reviewer": "kim", "time": "2026-11-24", "note": ""}])
    table.to_csv(project / "review" / "decisions.csv", index=False)
    run_here(project, clean)
    cleaned = read_dataset(project / "data" / "clean").manifest.set_index("image_id")
    assert cleaned.loc[face["image_id"], ["label", "reviewer"]].tolist() == ["sad", "kim"]
