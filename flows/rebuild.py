"""Rebuild if the source has changed: `dvc repro`, `dvc push`, a commit. `make schedule` schedules this."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from prefect import flow, get_run_logger, task
from prefect.exceptions import TerminationSignal
from prefect.states import State

from fer_tasks.errors import UserError
from fer_tasks.settings import load_settings
from fer_tasks.storage.files import read_json, write_text
from flows.engine.stage import IS_PAUSED, paused
from flows.release import check_can_release, release_build
from flows.source_files import check_source, fingerprint

BUILT = Path(".cache/rebuild.json")  # {source: its fingerprint at the last successful rebuild}


class StagePaused(UserError):
    """A stage cannot continue now, but can on a later run."""


@task
def dvc(*command: str) -> None:
    """Run a DVC command and log its output. Raises StagePaused, or UserError with the last lines."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # stages say `python`: this one
    process = subprocess.Popen(
        [sys.executable, "-m", "dvc", *command],
        env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    lines = []
    try:
        for line in process.stdout:
            lines.append(line.rstrip())
            get_run_logger().info(line.rstrip())
    except (KeyboardInterrupt, TerminationSignal):
        os.killpg(process.pid, signal.SIGTERM)  # also the stage that DVC has started
        raise
    if process.wait():
        if pauses := [line for line in lines if IS_PAUSED in line]:
            raise StagePaused(pauses[0])
        raise UserError(f"`dvc {' '.join(command)}` failed: " + " | ".join(lines[-3:]))


def _up_to_date() -> bool:
    """Whether `dvc repro` has nothing to do, such as a stage that was paused."""
    return subprocess.run([sys.executable, "-m", "dvc", "status", "--quiet"]).returncode == 0


@flow(name="rebuild")
def rebuild(force: bool = False) -> bool | State:
    """Rebuild if the source's fingerprint is new, a stage is not up to date, or `force` is set.

    Pushes the data and commits dvc.lock and the metrics. Returns whether it rebuilt; if a stage was paused
    this run ends paused too, and the next one continues.

    Raises:
        UserError: no commit is possible (raised before anything is built), or a DVC command failed.
    """
    source = load_settings().download.source
    check_source(Path(source))
    # Before anything reads the source: later changes belong to the next run.
    now = fingerprint(Path(source))
    changed = force or read_json(BUILT) != {source: now}
    if not changed and _up_to_date():
        get_run_logger().info(f"{source} has not changed since the last rebuild ({now})")
        return False
    check_can_release()
    # DVC watches the files of a folder, but not the pictures that a table names or what a description points
    # to, so neither its "unchanged" nor its run cache can be relied on there.
    if not Path(source).is_dir():
        dvc.with_options(name="dvc repro download")("repro", "--single-item", "--force", "download")
    try:
        dvc.with_options(name="dvc repro")("repro")
    except StagePaused as stage:
        return paused(str(stage))
    dvc.with_options(name="dvc push")("push")
    commit = release_build(f"Rebuild of {source} ({now})")
    get_run_logger().info(f"committed as {commit}" if commit else "git has this version already")
    write_text(BUILT, json.dumps({source: now}))
    return True
