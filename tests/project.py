"""A small project in a folder of its own, and commands run in it as a user runs them."""

import shutil
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import yaml

from testing.project_copy import ROOT, change_params, environment

# Few layers and a plain optimizer: most of the time of so small a training goes into tracing them.
CELL = {"model": "resnet", "options": {"filters": 4, "blocks": 0}, "recipe": "rgb32"}
CELL |= {"optimizer": "sgd", "learning_rate": 0.01, "batch_size": 16}
GRID = {"cells": [{**CELL, "id": "one", "epochs": 2}, {**CELL, "id": "two", "epochs": 2, "seed": 7}]}
BROKEN = {**CELL, "id": "broken", "epochs": 1, "model": "transfer"}
BROKEN |= {"options": {"backbone": "MobileNetV2", "weights": "none.h5"}}


def free_port() -> str:
    """A port of this machine on which nobody listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return str(one.getsockname()[1])


def link_settings(folder: Path) -> Path:
    """Give a working folder the project's settings files, with the grid of the sample."""
    for name in ("grids", "sources", "review"):
        (folder / name).symlink_to(ROOT / name)
    shutil.copyfile(ROOT / "params.yaml", folder / "params.yaml")
    change_params(folder, train={"grid": "sample"})
    return folder


def shrink(project: Path, *cells: dict) -> Path:
    """Make the work small: few photos, small features, quick cells."""
    sample = {"kind": "sample", "train_per_class": 8, "test_per_class": 5, "seed": 3}
    (project / "sources" / "sample.yaml").write_text(yaml.safe_dump(sample))
    (project / "grids" / "sample.yaml").write_text(yaml.safe_dump({"cells": [*GRID["cells"], *cells]}))
    recipes = {"rgb32": [{"op": "resize", "size": 32}]}
    change_params(project, make_features={"recipes": recipes}, train={"grid": "sample", "workers": 1})
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


def commit(project: Path) -> None:
    for command in (["add", "-A"], ["commit", "-q", "-m", "built"]):
        subprocess.run(["git", *command], cwd=project, check=True)


def ended(process: subprocess.Popen) -> bool:
    """Wait a moment for a process; has it ended?"""
    try:
        process.wait(timeout=0.2)
    except subprocess.TimeoutExpired:
        return False
    return True


def asked(api: str, path: str, body: dict) -> httpx.Response:
    """POST to a Prefect server as its own page does: with a token, which no other page can read."""
    with httpx.Client(base_url=api, trust_env=False, timeout=30) as client:
        token = client.get("/csrf-token", params={"client": "tests"}).json()["token"]
        headers = {"Prefect-Csrf-Client": "tests", "Prefect-Csrf-Token": token}
        return client.post(path, json=body, headers=headers)
