"""Has the source changed? Then `dvc repro`, `dvc push` and a commit: what `make schedule` schedules."""

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
from flows.source_files import check_source, fingerprint
from flows.versions import check_can_commit, commit_build

BUILT = Path(".cache/rebuild.json")  # {source: the fingerprint it had when the last rebuild ended well}


class StagePaused(UserError):
    """A stage cannot go on now, but will on a later run."""


@task
def dvc(*command: str) -> None:
    """Run a DVC command, its output on this run's log. Raises StagePaused, UserError with its last lines."""
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
        os.killpg(process.pid, signal.SIGTERM)  # the stage that DVC has started, too
        raise
    if process.wait():
        if told := [line for line in lines if IS_PAUSED in line]:
            raise StagePaused(told[0])
        raise UserError(f"`dvc {' '.join(command)}` failed: " + " | ".join(lines[-3:]))


def _up_to_date() -> bool:
    """Is there nothing for `dvc repro` to do, such as a stage that was paused?"""
    return subprocess.run([sys.executable, "-m", "dvc", "status", "--quiet"]).returncode == 0


@flow(name="rebuild")
def rebuild(force: bool = False) -> bool | State:
    """Rebuild if the source's fingerprint is new, something is not up to date, or if told to.

    Pushes the data and commits what names it. Returns whether it did; where a stage was paused it ends paused
    too, and the next run continues. Raises UserError before anything is built if no commit is possible.
    """
    source = load_settings().download.source
    check_source(Path(source))
    # Before anything reads the source: what changes from here on is the next run's.
    now = fingerprint(Path(source))
    changed = force or read_json(BUILT) != {source: now}
    if not changed and _up_to_date():
        get_run_logger().info(f"{source} has not changed since the last rebuild ({now})")
        return False
    check_can_commit()
    # DVC looks into a folder, but not behind a file: a table names pictures, a description what is elsewhere.
    # Neither what it thinks is unchanged nor what it remembers of earlier runs can be relied on there.
    if not Path(source).is_dir():
        dvc.with_options(name="dvc repro download")("repro", "--single-item", "--force", "download")
    try:
        dvc.with_options(name="dvc repro")("repro")
    except StagePaused as stage:
        return paused(str(stage))
    dvc.with_options(name="dvc push")("push")
    commit = commit_build(f"Rebuild of {source} ({now})")
    get_run_logger().info(f"committed as {commit}" if commit else "git has this version already")
    write_text(BUILT, json.dumps({source: now}))
    return True
