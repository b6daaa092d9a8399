"""A DVC command as a step of a build: its output in the build's log, and an end when the build is told to."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.exceptions import TerminationSignal
from prefect.states import Cancelled, Crashed, State

from fer_tasks.errors import UserError
from flows.engine.parent_run import as_parent, end_children
from flows.engine.stage import IS_PAUSED

ENDS_WITHIN = 5  # seconds, of DVC and the stage that it has started, then they are killed
BUSY = ("it is being blocked by", "Unable to acquire lock")  # DVC's words where another DVC works here
NOISE = "Having any troubles?"  # how DVC's last line begins
ASKS_AGAIN = 60  # seconds


class StagePaused(UserError):
    """A stage cannot continue now, but can on a later run."""


def dvc_step(*command: str) -> None:
    """Run a DVC command as a step that the UI shows. While another one works in this folder, wait.

    Raises StagePaused, or UserError with DVC's last lines. Where the build is told to end it raises
    TerminationSignal, after all that DVC has started has ended.
    """
    state = run_dvc.with_options(name=f"dvc {command[0]}")(*command, return_state=True)
    if state.is_cancelled():
        _say_how_it_ended()
        raise TerminationSignal(signal.SIGTERM)
    state.result()


@task(cache_policy=NO_CACHE)
def run_dvc(*command: str) -> State | None:
    """Raises StagePaused or UserError; cancelled where it is told to end."""
    try:
        while not _has_run(command):
            time.sleep(ASKS_AGAIN)
    except TerminationSignal:
        return Cancelled(message="told to end")  # Prefect would call a step that raises this crashed


def _has_run(command: tuple[str, ...]) -> bool:
    """Run a DVC command and log its output; False if another one works in this folder."""
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
        process.wait()
    except BaseException:  # Prefect ends a run in four ways
        _end(process)
        raise
    if not process.returncode:
        return True
    if pauses := [line for line in lines if IS_PAUSED in line]:
        raise StagePaused(pauses[0])
    if any(words in line for line in lines for words in BUSY):
        get_run_logger().info(f"another DVC works in this folder; asking again in {ASKS_AGAIN} s")
        return False
    said = [line.removeprefix("ERROR: ") for line in lines if line and not line.startswith(NOISE)]
    killed = process.returncode < 0
    how = f"was ended by {signal.Signals(-process.returncode).name}" if killed else "failed"
    raise UserError(f"`dvc {' '.join(command)}` {how}: " + " | ".join(said[-3:]))


def _end(process: subprocess.Popen) -> None:
    """End DVC and all that it has started."""
    group = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    os.killpg(process.pid, signal.SIGTERM)
    for late in psutil.wait_procs(group, timeout=ENDS_WITHIN)[1]:
        late.kill()
    process.wait()


def _say_how_it_ended() -> None:
    """Of a build that was told to end: in the states of its stages, and in the last line of its log."""
    run = FlowRunContext.get().flow_run
    with get_client(sync_client=True) as client:
        run.state = client.read_flow_run(run.id).state  # Prefect logs the one that it knows
        cancelled = run.state.is_cancelling() or run.state.is_cancelled()
        how = Cancelled(message="the build was cancelled") if cancelled else Crashed(message="told to end")
        end_children(client, run.id, how)
        if run.state.is_cancelling():  # the worker says so, too, but only seconds later
            client.set_flow_run_state(run.id, how)
            run.state = client.read_flow_run(run.id).state
