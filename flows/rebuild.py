"""Rebuild if the source has changed: `dvc repro`, `dvc push`, a commit. `make schedule` schedules this."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.exceptions import CancelledRun, TerminationSignal
from prefect.states import Cancelled, Crashed, State

from fer_tasks.errors import UserError
from fer_tasks.settings import load_settings
from fer_tasks.storage.files import read_json, write_text
from flows.engine.parent_run import as_parent, crash_orphans, end_children
from flows.engine.stage import IS_PAUSED, paused
from flows.server.which_server import report_url
from flows.source_files import check_source, fingerprint
from flows.versions import check_can_commit, commit_build

BUILT = Path(".cache/rebuild.json")  # {source: its fingerprint at the last successful rebuild}
ENDS_WITHIN = 5  # seconds, of DVC and the stage that it has started, then they are killed


class StagePaused(UserError):
    """A stage cannot continue now, but can on a later run."""


@task
def dvc(*command: str) -> State | None:
    """Run a DVC command and log its output. Raises StagePaused, or UserError with the last lines.

    Where the run is told to end, what DVC has started ends first. This step is then cancelled.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # stages say `python`: this one
    process = subprocess.Popen(
        [sys.executable, "-m", "dvc", *command],
        env={**os.environ, "PATH": path, **as_parent()},
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
    except KeyboardInterrupt:
        _end(process)
        raise
    except TerminationSignal:
        _end(process)
        return Cancelled(message="told to end")
    if process.wait():
        if pauses := [line for line in lines if IS_PAUSED in line]:
            raise StagePaused(pauses[0])
        raise UserError(f"`dvc {' '.join(command)}` failed: " + " | ".join(lines[-3:]))


def _end(process: subprocess.Popen) -> None:
    """End DVC and all that it has started."""
    group = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    os.killpg(process.pid, signal.SIGTERM)
    for late in psutil.wait_procs(group, timeout=ENDS_WITHIN)[1]:
        late.kill()
    process.wait()


def _tell_how_it_ended() -> None:
    """Of a build that was told to end: say so of its stages, and in this run's last line."""
    run = FlowRunContext.get().flow_run
    with get_client(sync_client=True) as client:
        run.state = client.read_flow_run(run.id).state  # Prefect logs the one that it knows
        cancelled = run.state.is_cancelling() or run.state.is_cancelled()
        how = Cancelled(message="the build was cancelled") if cancelled else Crashed(message="told to end")
        end_children(client, run.id, how)


def _up_to_date() -> bool:
    """Whether `dvc repro` has nothing to do, such as a stage that was paused."""
    return subprocess.run([sys.executable, "-m", "dvc", "status", "--quiet"]).returncode == 0


@flow(name="rebuild")
def rebuild(force: bool = False) -> bool | State:
    """Rebuild, as below; a run that is told to end says so of its stages, too."""
    with get_client(sync_client=True) as client:
        crash_orphans(client)
    try:
        return _rebuild(force)
    except CancelledRun:
        _tell_how_it_ended()
        raise TerminationSignal(signal.SIGTERM) from None


def _rebuild(force: bool) -> bool | State:
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
    check_can_commit()
    # DVC watches the files of a folder, but not the pictures that a table names or what a description points
    # to, so neither its "unchanged" nor its run cache can be relied on there.
    if not Path(source).is_dir():
        dvc.with_options(name="dvc repro download")("repro", "--single-item", "--force", "download")
    try:
        dvc.with_options(name="dvc repro")("repro")
    except StagePaused as stage:
        return paused(str(stage))
    dvc.with_options(name="dvc push")("push")
    commit = commit_build(f"Rebuild of {source} ({now})")
    get_run_logger().info(f"committed as {commit}" if commit else "git has this version already")
    _link(source, commit)
    write_text(BUILT, json.dumps({source: now}))
    return True


def _link(source: str, commit: str | None) -> None:
    """Show in Prefect's UI where the report and the commit of this build are."""
    rows = [f"[Report]({report_url('index.html')}), [data]({report_url('data.html')}) of {source}"]
    rows += [f"Commit {commit}: `git show {commit}`" if commit else "git had this version already"]
    create_markdown_artifact("\n\n".join(rows), key="build", description="What this build made")
