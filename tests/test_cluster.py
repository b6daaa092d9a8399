"""Stages on a Dask cluster: the same bytes as by threads, a worker that is killed, what is refused."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import dask
import psutil
import pytest
import yaml
from distributed import Client
from prefect.settings import PREFECT_API_URL, temporary_settings

from fer_tasks.errors import UserError
from flows.engine import cluster
from flows.run import run as make_run
from testing.dask_cluster import PATIENT, dask_cluster
from testing.project_copy import content, environment
from tests.project import CELL, ended, free_port, succeeds

HEAVY = """
from importlib import import_module
from pathlib import Path
from fer_tasks.settings import load_settings
from flows.engine import cluster
if __name__ == "__main__":
    runner = cluster.runner(Path("sources/sample.yaml"))
    for stage in ("download", "crop_faces", "drop_text", "clean", "make_features", "train"):
        flow = getattr(import_module(f"flows.{stage}"), stage)
        flow.with_options(task_runner=runner)(load_settings())
"""
TASKS = {"draw", "identify", "inspect", "copy", "detect", "cut", "read", "describe", "look_for_covers", "see"}
TASKS |= {"copies_among", "doubtful_labels", "transform", "train_cell"}
SOURCE = Path("sources/sample.yaml")


@pytest.fixture(scope="module")
def project(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built project without what makes a run cheaper: results, trained cells."""
    made = tmp_path_factory.mktemp("cluster") / "project"
    shutil.copytree(built, made, symlinks=True, ignore=shutil.ignore_patterns("results", "prefect", "cells"))
    shutil.rmtree(made / "models" / "two")
    return made


@pytest.fixture(scope="module")
def workers(project: Path) -> Iterator[tuple[str, int]]:
    with dask_cluster(project, 2, project.parent / "cluster.log") as running:
        yield running


@pytest.fixture
def scheduler(workers: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in {**PATIENT, cluster.SCHEDULER: workers[0]}.items():
        monkeypatch.setenv(name, value)
    dask.config.refresh()
    return workers[0]


def learnt(project: Path) -> dict[str, tuple]:
    """The cells without the times that it took."""
    found = {}
    for name in ("one", "two", "broken"):
        about = json.loads((project / "models" / name / "cell.json").read_text()) | {"train_seconds": None}
        files = content(project / "models" / name)
        weights = None
        if "model.keras" in files:
            with ZipFile(project / "models" / name / "model.keras") as network:
                weights = network.read("model.weights.h5")
        found[name] = (about, weights, files.get("history.csv"))
    return found


@pytest.mark.slow
def test_every_heavy_stage_makes_the_same_bytes_on_workers_as_in_threads(project, built, server, scheduler):
    (project / "on_workers.py").write_text(HEAVY)
    succeeds(project, "on_workers", **server)
    assert content(project / "data") == content(built / "data")
    assert learnt(project) == learnt(built)
    with Client(scheduler, set_as_default=False) as client:
        seen = client.run_on_scheduler(lambda dask_scheduler: {*dask_scheduler.task_prefixes})
    assert seen >= TASKS


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_its_shards_and_no_more(project, built, server, scheduler):
    shutil.rmtree(project / ".cache" / "results", ignore_errors=True)
    log = (project / "log.txt").open("w")
    begun = {"cwd": project, "env": environment(project, **server), "stderr": log}
    process = subprocess.Popen([sys.executable, "-m", "flows.crop_faces"], **begun)
    with Client(scheduler, set_as_default=False) as client:
        pids, busy = client.run(os.getpid), []
        while not ended(process) and not busy:
            busy = [worker for worker, keys in client.processing().items() if "detect-" in str(keys)]
        os.kill(pids[busy[0]], signal.SIGKILL)
    assert process.wait(timeout=240) == 0, (project / "log.txt").read_text()
    assert f"crop_faces: tasks on {scheduler}, Prefect's UI" in (project / "log.txt").read_text()
    assert content(project / "data" / "faces") == content(built / "data" / "faces")


def is_training(process: psutil.Process) -> bool:
    try:
        return "forkserver" in " ".join(process.cmdline()) and process.cpu_percent(0.5) > 0
    except psutil.NoSuchProcess:
        return False


@pytest.mark.slow
def test_a_cell_ends_with_the_run_that_wanted_it(project, server, workers, scheduler):
    long = {**CELL, "id": "long", "epochs": 100_000}
    (project / "grids" / "sample.yaml").write_text(yaml.safe_dump({"cells": [long]}))
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.train"], cwd=project, env=environment(project, **server)
    )
    history = project / "models" / "long" / "history.csv"
    while not ended(process) and not history.exists():
        pass
    training = [one for one in psutil.Process(workers[1]).children(recursive=True) if is_training(one)]
    process.kill()
    process.wait()
    assert training and not psutil.wait_procs(training, timeout=30)[1]


@pytest.mark.slow
def test_a_worker_that_could_not_do_the_work_is_told_before_it_begins(
    project, server, scheduler, monkeypatch
):
    def fault(source: Path = SOURCE, url: str = server["PREFECT_API_URL"]) -> str:
        with temporary_settings({PREFECT_API_URL: url}), pytest.raises(UserError) as told:
            cluster.runner(source)
        return str(told.value)

    assert fault().endswith(
        f"works in {project}: start it in {Path.cwd()}, on a disk that all machines share"
    )
    monkeypatch.chdir(project)
    nowhere, dead = Path("/nowhere/photos"), f"http://127.0.0.1:{free_port()}/api"
    assert fault(nowhere).endswith(
        f"does not see the source {nowhere}: put it on a disk that all machines share"
    )
    assert f"does not reach the Prefect server at {dead}: open its port" in fault(url=dead)
    newer = project / "flows" / "newer.py"
    newer.touch()
    assert fault().endswith("was started before the project's code changed: start it again")
    newer.unlink()
    cluster.runner(SOURCE)


ELSEWHERE = "tcp://10.1.2.3:8786"
WANTED = "start one by `PREFECT_SERVER_API_HOST=0.0.0.0 make server` and set PREFECT_API_URL=http://"


@pytest.mark.parametrize("url", [None, "http://127.0.0.1:4200/api", "http://localhost:4200/api"])
def test_workers_elsewhere_need_a_server_that_they_reach(url, monkeypatch):
    monkeypatch.setenv(cluster.SCHEDULER, ELSEWHERE)
    with temporary_settings({PREFECT_API_URL: url}), pytest.raises(UserError) as told:
        cluster.runner(SOURCE)
    assert str(told.value).startswith(f"{cluster.SCHEDULER} is {ELSEWHERE}: {url or 'there is no Prefect'}")
    assert WANTED in str(told.value)


def test_make_run_is_refused_before_it_starts_a_server(in_project, monkeypatch):
    monkeypatch.setenv(cluster.SCHEDULER, ELSEWHERE)
    with temporary_settings({PREFECT_API_URL: None}), pytest.raises(UserError, match="there is no Prefect"):
        make_run()
    assert not (in_project / ".cache" / "server").exists()


@pytest.mark.parametrize("address", ["127.0.0.1:{port}", "tcp://localhost:{port}", "nonsense"])
def test_a_scheduler_that_does_not_answer_is_told_in_seconds(in_project, monkeypatch, address):
    address = address.format(port=free_port())
    monkeypatch.setenv(cluster.SCHEDULER, address)
    monkeypatch.setattr(cluster, "ANSWERS_WITHIN", 1)
    server = {PREFECT_API_URL: "http://example.org/api"}
    began = time.monotonic()
    with temporary_settings(server), pytest.raises(UserError) as told:
        cluster.runner(SOURCE)
    said = f"no Dask scheduler answers at {address} ({cluster.SCHEDULER}): start it, or unset the variable"
    assert str(told.value).startswith(said) and time.monotonic() - began < 10


def test_without_dask_the_extra_is_named(monkeypatch):
    monkeypatch.setenv(cluster.SCHEDULER, "127.0.0.1:8786")
    monkeypatch.setitem(sys.modules, "prefect_dask", None)
    with pytest.raises(UserError, match=r"Dask is not installed: `pip install 'monday-fer\[dask\]'`"):
        cluster.runner(SOURCE)
