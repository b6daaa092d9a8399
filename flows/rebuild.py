"""Has the source changed? Then `dvc repro` and `dvc push`: what a schedule runs (`make schedule`)."""

import json
import os
import subprocess
import sys
from pathlib import Path

from prefect import flow, get_run_logger, task

from fer_tasks.dataset import write_text
from fer_tasks.errors import UserError
from fer_tasks.settings import load_settings
from flows.source import fingerprint

BUILT = Path(".cache/rebuild.json")  # {source: the fingerprint it had when the last rebuild ended well}


@task
def dvc(*command: str) -> None:
    """Run a DVC command, its output on this run's log. Raises UserError with its last lines."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # stages say `python`: this one
    process = subprocess.Popen(
        [sys.executable, "-m", "dvc", *command],
        env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip())
        get_run_logger().info(line.rstrip())
    if process.wait():
        raise UserError(f"`dvc {' '.join(command)}` failed: " + " | ".join(lines[-3:]))


@flow(name="rebuild")
def rebuild(force: bool = False) -> bool:
    """Rebuild if the source's fingerprint is new, or if told to; returns whether it did."""
    source = load_settings().download.source
    now = fingerprint(Path(source))
    built = json.loads(BUILT.read_text()) if BUILT.exists() else {}
    if built == {source: now} and not force:
        get_run_logger().info(f"{source} has not changed since the last rebuild ({now})")
        return False
    if source.endswith(".yaml"):  # it describes something elsewhere: DVC cannot see that this has changed
        dvc.with_options(name="dvc repro download")("repro", "--single-item", "--force", "download")
    dvc.with_options(name="dvc repro")("repro")
    dvc.with_options(name="dvc push")("push")
    write_text(BUILT, json.dumps({source: now}))
    return True
