"""How a stage starts and ends: `python -m flows.<stage>` in a terminal, by `dvc repro` or by a schedule."""

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from prefect import Flow, get_run_logger
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelled, State
from prefect.task_runners import ThreadPoolTaskRunner

from fer_tasks.errors import UserError
from fer_tasks.settings import Settings, load_settings
from fer_tasks.sources.apart import refuse_source_in_outputs
from fer_tasks.storage.dataset import Dataset
from flows.command import ready_for_prefect
from flows.engine import cluster
from flows.engine.console import show_results_only
from flows.engine.parent_run import inside_parent_run
from flows.engine.worker_pool import WORKERS
from flows.server.background import start_in_background
from flows.server.own_server import own_server

PAUSED = "Paused"  # the state's name in the UI
IS_PAUSED = " is paused: "  # between a stage's name and the reason, in a terminal and in DVC's output
NEVER_RESUMED = " and never resumed."  # how Prefect's words for a pause that has run out end


def run_stage(
    flow: Flow,
    workers: Callable[[Settings], int] = lambda settings: WORKERS,
    stays_here: Callable[[Settings], bool] = lambda settings: False,
) -> None:
    """Read params.yaml once and run the flow, against a Prefect server that is started if none answers.

    Its tasks run in so many threads (`workers`), or on the cluster if there is one and it has no reason to
    stay on this machine.

    Exits with one line and status 1 on an error that the user can fix, and with status 75 where the run is
    paused. SIGTERM ends the child processes, too.
    """
    signal.signal(signal.SIGTERM, _end_with_children)
    with ready_for_prefect():
        settings = load_settings()
        source = Path(settings.download.source)
        refuse_source_in_outputs(source)
        threads = ThreadPoolTaskRunner(max_workers=workers(settings))
        runner = cluster.runner(source) if cluster.scheduler() and not stays_here(settings) else threads
        url = start_in_background(settings.server.idle_minutes)
        log = show_results_only(flow.name)
        where = "" if runner is threads else f"tasks on {cluster.scheduler()}, "
        sys.stderr.write(f"{flow.name}: {where}Prefect's UI {url.removesuffix('/api')}, details in {log}\n")
        with temporary_settings({PREFECT_API_URL: url}):
            run = flow.with_options(flow_run_name=flow.name, task_runner=runner)
            with inside_parent_run(run):
                state = run(settings, return_state=True)
            if why := _why_paused(state):
                sys.stderr.write(f"{flow.name}{IS_PAUSED}{why}. Run `dvc repro` to continue.\n")
                sys.exit(os.EX_TEMPFAIL)
            state.result()


def _end_with_children(signum: int, frame: Any) -> None:
    """Prefect forwards SIGTERM only after its flow has ended. The server keeps running for other stages."""
    server = own_server()
    for child in psutil.Process().children(recursive=True):
        if server and child.pid == server.pid:
            continue
        with suppress(psutil.NoSuchProcess):
            child.terminate()
    signal.signal(signum, signal.SIG_DFL)
    os.kill(os.getpid(), signum)


def paused(message: str) -> State:
    """The final state of a flow run that cannot continue now; a later run resumes it."""
    return Cancelled(name=PAUSED, message=message)


def _why_paused(state: State) -> str | None:
    message = state.message or ""
    if message.endswith(NEVER_RESUMED):
        return "not resumed in time"
    return message if state.name == PAUSED else None


def close(target: Path, came_in: int, info: dict[str, Any]) -> None:
    """Log how many pictures came in, were kept and were rejected, by reason.

    Raises:
        UserError: no picture is left.
        AssertionError: a picture is neither kept nor rejected.
    """
    kept, dropped = info["kept"], sum(info["rejected"].values())
    reasons = ", ".join(f"{reason} {n}" for reason, n in info["rejected"].items()) or "none"
    get_run_logger().info(f"{came_in} in, {kept} kept, {dropped} rejected ({reasons})")
    if kept + dropped != came_in:
        raise AssertionError(f"{info['stage']}: {came_in} in, but {kept} kept + {dropped} rejected")
    if not kept:
        raise UserError(f"no picture is left ({reasons}); {target}/rejected.csv says why for each")


def made_from(*datasets: Dataset) -> dict[str, str]:
    """The fingerprints of the datasets that a stage read, for its `dataset.json`."""
    return {str(dataset.root): dataset.fingerprint for dataset in datasets}
