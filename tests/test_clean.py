"""Cleaning as a stage: decisions go before rules, and a run can wait for people."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from fer_tasks.errors import UserError
from fer_tasks.settings import load_settings
from fer_tasks.storage import model_folder
from fer_tasks.storage.dataset import read_dataset
from fer_tasks.storage.files import read_table
from flows.clean import clean
from flows.server import own_server
from testing.project_copy import change_params, copy_project, environment
from testing.tiny_model import CROP, tiny_network, write_tiny_model
from tests.project import asked, ended, run, shrink

pytestmark = pytest.mark.slow


@pytest.fixture
def project(built, tmp_path, database) -> Path:
    """A project whose next stage is clean."""
    made = shrink(copy_project(tmp_path / "project", database))
    (made / "data").mkdir()
    for name in ("raw", "faces", "textfree"):
        subprocess.run(["cp", "-r", str(built / "data" / name), str(made / "data")], check=True)
    subprocess.run(["cp", "-r", str(built / ".cache"), str(made)], check=True)
    return made


def decide(project: Path, face: pd.Series, verdict: str, reviewer: str = "kim") -> None:
    row = [face["image_id"], face["pixels"], verdict, "", reviewer, str(time.time_ns()), ""]
    with (project / "review" / "decisions.csv").open("a") as file:
        file.write(",".join(row) + "\n")


@pytest.fixture
def cleaned(prefect, project, monkeypatch) -> Callable[[], None]:
    """A function that cleans the project in this process."""
    monkeypatch.chdir(project)
    return lambda: clean(load_settings())


def test_people_s_word_goes_before_the_rules_and_what_is_not_applied_is_told(project, built, cleaned, caplog):
    before = read_dataset(built / "data" / "clean")
    textfree = read_dataset(project / "data" / "textfree").manifest.set_index("image_id", drop=False)
    dropped = before.rejected[before.rejected["reason"] != "leak"]["image_id"].iloc[0]
    kept = before.manifest["image_id"].iloc[0]
    decide(project, textfree.loc[dropped], "keep")
    decide(project, textfree.loc[kept], "reject")
    decide(project, textfree.loc[kept], "reject", "lee")
    decide(project, textfree.iloc[5].replace(textfree["pixels"].iloc[5], "0" * 16), "reject")
    cleaned()
    after = read_dataset(project / "data" / "clean")
    assert dropped in set(after.manifest["image_id"])
    assert after.rejected.set_index("image_id").loc[kept, "reason"] == "rejected_by_person"
    assert "1 decisions not applied, their faces' pixels have changed since: lines 5" in caplog.text
    assert len(after.manifest) + len(after.rejected) == len(textfree)


def test_every_face_is_measured_and_every_doubt_names_its_rule(built):
    clean = read_dataset(built / "data" / "clean")
    measures = read_table(built / "data" / "clean" / "measures.csv")
    doubts = read_table(built / "data" / "clean" / "doubts.csv")
    came_in = read_dataset(built / "data" / "textfree").manifest["image_id"]
    assert sorted(measures["image_id"]) == sorted(came_in)
    assert measures[["covered", "label_doubt", "yaw"]].notna().all(axis=None)
    assert set(doubts["image_id"]) <= set(came_in) and doubts["detail"].ne("").all()
    by_rule = clean.rejected[clean.rejected["reason"] != "rejected_by_person"]
    pairs = set(doubts[["image_id", "rule"]].itertuples(index=False, name=None))
    assert set(by_rule[["image_id", "reason"]].itertuples(index=False, name=None)) <= pairs


def test_a_broken_decisions_file_stops_the_stage_in_one_line_and_nothing_is_applied(project, cleaned):
    with (project / "review" / "decisions.csv").open("a") as file:
        file.write("0123456789abcdef-0,1,kee")
    with pytest.raises(UserError) as told:
        cleaned()
    assert str(told.value) == "review/decisions.csv: line 2: 3 fields, not 7; fix or delete the line"
    assert not (project / "data" / "clean").exists()


@pytest.mark.parametrize("fault", ["missing", "cut"])
def test_without_the_network_clean_says_what_to_do_and_hog_needs_none(project, cleaned, monkeypatch, fault):
    pretrained = write_tiny_model(project / "network")
    monkeypatch.setattr(model_folder, "PRETRAINED", pretrained)
    if fault == "missing":
        shutil.rmtree(pretrained)
    else:
        (pretrained / "model.onnx").write_bytes(tiny_network()[:500])
    with pytest.raises(UserError) as told:
        cleaned()
    wrong = f"there is no folder {pretrained}" if fault == "missing" else "model.onnx is damaged"
    assert wrong in str(told.value) and "\n" not in str(told.value)
    fix = "`git checkout -- pretrained` brings back the one that came with this program"
    assert str(told.value).endswith(f"{fix}; clean.label_model: hog needs none")
    change_params(project, clean={"label_model": "hog"})
    cleaned()
    assert read_table(project / "data" / "clean" / "measures.csv")["label_doubt"].notna().all()


def test_doubts_are_of_the_network_that_is_there_and_a_face_is_shown_to_it_once(
    project, cleaned, monkeypatch, caplog
):
    def measured(name: str, **changes: object) -> pd.Series:
        monkeypatch.setattr(model_folder, "PRETRAINED", project / name)
        if not (project / name).exists():
            write_tiny_model(project / name, **changes)
        caplog.clear()
        cleaned()
        return read_table(project / "data" / "clean" / "measures.csv")["label_doubt"]

    n = len(read_dataset(project / "data" / "textfree").manifest)
    one = measured("one")
    assert f"see: {n} of {n} computed" in caplog.text
    closer = measured("closer", crop={**CROP, "margin": -0.3})
    assert f"see: {n} of {n} computed" in caplog.text and (closer != one).any()
    assert measured("one").equals(one)
    assert f"see: 0 of {n} computed" in caplog.text and "describe: 0 of" in caplog.text


def paused_run(api: str) -> str:
    """The id of a flow run of clean that is paused, or ""."""
    wanted = {"flows": {"name": {"any_": ["clean"]}}, "flow_runs": {"state": {"type": {"any_": ["PAUSED"]}}}}
    found = asked(api, "/flow_runs/filter", wanted).json()
    return found[0]["id"] if found else ""


def test_a_run_pauses_for_review_and_resumes_with_the_decisions(project, server):
    change_params(project, clean={"wait_for_review": 300})
    api = server["PREFECT_API_URL"]
    log = (project / "log.txt").open("w")
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.clean"], cwd=project, env=environment(project, **server), stderr=log
    )
    deadline = time.monotonic() + 240
    while not ended(process) and not paused_run(api) and time.monotonic() < deadline:
        pass
    provisional = read_dataset(project / "data" / "clean").manifest
    decide(project, provisional.iloc[0], "reject")
    form = {"run_input": {"reviewer": "kim"}}
    resume = f"/flow_runs/{paused_run(api)}/resume"
    while "status" not in (reply := asked(api, resume, form).json()):  # it is paused before its form is there
        assert time.monotonic() < deadline, reply
    assert reply["status"] == "ACCEPT", reply
    assert process.wait(timeout=240) == 0, (project / "log.txt").read_text()
    log_text = (project / "log.txt").read_text()
    assert "doubted faces are undecided: decide on them with `make review`" in log_text
    assert "resumed by kim" in log_text
    after = read_dataset(project / "data" / "clean")
    rejected = after.rejected.set_index("image_id")["reason"]
    assert rejected[provisional["image_id"].iloc[0]] == "rejected_by_person"
    assert len(after.manifest) == len(provisional) - 1


def test_a_run_that_nobody_resumes_in_the_server_that_it_has_started_ends_paused(project, monkeypatch):
    change_params(project, clean={"wait_for_review": 1})
    done = run(project, "flows.clean")
    monkeypatch.chdir(project)
    assert "has ended" in own_server.stop()
    ui = re.search(r"Prefect's UI (http://127\.0\.0\.1:\d+)", done.stderr)[1]
    assert done.returncode == os.EX_TEMPFAIL and f"then press Resume in {ui}" in done.stderr
    assert "clean is paused: not resumed in time. Run `dvc repro` to continue." in done.stderr
    assert json.loads((project / "data" / "clean" / "dataset.json").read_text())["kept"]
