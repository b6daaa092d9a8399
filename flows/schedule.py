"""`make schedule`: deploy prefect.yaml on this project's server, check that it schedules, start a worker."""

import os
import shlex
import subprocess
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import psutil
import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import DeploymentFilter, FlowRunFilter
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.sorting import FlowRunSort
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Crashed
from prefect.workers.process import ProcessWorker

from fer_tasks.errors import UserError
from fer_tasks.settings import load_settings
from flows.command import ready_for_prefect
from flows.server.background import start_in_background
from flows.server.own_server import LOG, own_server

POOL = "monday-fer"  # of prefect.yaml
SCHEDULED_WITHIN = 60  # seconds after a deployment; 1 to 5 here
WORKS_IN = "prefect.deployments.steps.set_working_directory"


def schedule() -> None:
    """Deploy, check, print a summary, and become the worker.

    Raises:
        UserError: the server cannot be used, has another project's deployment of the same name, or schedules
            nothing.
    """
    url = start_in_background(load_settings().server.idle_minutes)
    with temporary_settings({PREFECT_API_URL: url}), get_client(sync_client=True) as client:
        before = deployed(client)
        refuse_others(before, url)
        crash_dead_runs(client, before)
        began = datetime.now(UTC)
        client.create_work_pool(_pool(), overwrite=True)
        _deploy(url)
        for deployment in before:
            if deployment.paused:
                client.pause_deployment(deployment.id)  # deploying resumes what people have paused
        now = deployed(client)
        runs = wait_until_scheduled(client, now, began)
        sys.stdout.write(_summary(client, now, runs, url))
        sys.stdout.flush()
    worker = [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL]
    os.execve(sys.executable, worker, {**os.environ, "PREFECT_API_URL": url})


def deployed(client: SyncPrefectClient) -> list[DeploymentResponse]:
    """The server's deployments of the names in prefect.yaml, this project's or another's."""
    wanted = {
        d["name"]: d["entrypoint"] for d in yaml.safe_load(Path("prefect.yaml").read_text())["deployments"]
    }
    found = client.read_deployments(deployment_filter=DeploymentFilter(name={"any_": list(wanted)}))
    return [deployment for deployment in found if deployment.entrypoint == wanted[deployment.name]]


def refuse_others(deployments: list[DeploymentResponse], url: str) -> None:
    """Raise UserError if a deployment belongs to another folder: deploying would take it over.

    On this project's own server, a folder that no longer exists was moved here.
    """
    for deployment in deployments:
        folders = [step[WORKS_IN]["directory"] for step in deployment.pull_steps or [] if WORKS_IN in step]
        others = [folder for folder in folders if Path(folder).resolve() != Path.cwd().resolve()]
        own = (server := own_server()) and server.url == url
        if others and not (own and not Path(others[0]).exists()):
            raise UserError(
                f"{deployment.name} on {url} is scheduled for {others[0]}: unset PREFECT_API_URL to use a "
                "server of this project's own, or delete it there: "
                f"`prefect deployment delete {deployment.id}`"
            )


def crash_dead_runs(client: SyncPrefectClient, deployments: list[DeploymentResponse]) -> None:
    """Mark runs as crashed that are still Running though their process is gone, such as after a reboot.

    Only on this project's own server, whose runs are processes of this machine.
    """
    if not deployments or own_server() is None:
        return
    unfinished = FlowRunFilter(
        deployment_id={"any_": [deployment.id for deployment in deployments]},
        state={"type": {"any_": ["RUNNING", "CANCELLING"]}},
    )
    for run in client.read_flow_runs(flow_run_filter=unfinished):
        if not _is_alive(run):
            why = Crashed(message="its process has ended without reporting a state, as after a reboot")
            client.set_flow_run_state(run.id, why, force=True)


def _is_alive(run: FlowRun) -> bool:
    """Whether its process exists. One that started after the run only reuses the process id."""
    try:
        began = psutil.Process(int(run.infrastructure_pid or 0)).create_time()
    except (psutil.NoSuchProcess, ValueError):
        return False
    return run.start_time is None or began < run.start_time.timestamp() + 2


def wait_until_scheduled(
    client: SyncPrefectClient, deployments: list[DeploymentResponse], since: datetime
) -> dict[str, FlowRun]:
    """The next run of each deployment that is not paused and has a schedule, by name.

    Raises UserError if a deployment gets no run within SCHEDULED_WITHIN: the scheduler does not work.
    """
    waiting = [d for d in deployments if not d.paused and any(s.active for s in d.schedules)]
    found: dict[str, FlowRun] = {}
    deadline = time.monotonic() + SCHEDULED_WITHIN
    while len(found) < len(waiting):
        for deployment in waiting:
            ahead = FlowRunFilter(
                deployment_id={"any_": [deployment.id]},
                state={"type": {"any_": ["SCHEDULED"]}},
                expected_start_time={"after_": since},
            )
            runs = client.read_flow_runs(
                flow_run_filter=ahead, sort=FlowRunSort.EXPECTED_START_TIME_ASC, limit=1
            )
            if runs:
                found[deployment.name] = runs[0]
        if time.monotonic() > deadline:
            names = ", ".join(d.name for d in waiting if d.name not in found)
            where = str(LOG) if own_server() else "its log"
            raise UserError(
                f"the Prefect server at {client.api_url} has scheduled no run of {names} within "
                f"{SCHEDULED_WITHIN} s: its scheduler does not work; see {where}"
            )
        time.sleep(0.5)
    return found


def _pool() -> WorkPoolCreate:
    template = ProcessWorker.get_default_base_job_template()
    return WorkPoolCreate(name=POOL, type=ProcessWorker.type, base_job_template=template)


def _deploy(url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"],
        env={**os.environ, "PREFECT_API_URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise UserError(f"`prefect deploy --all` failed: {' '.join(done.stdout.split())[-1000:]}")


def _summary(
    client: SyncPrefectClient, deployments: list[DeploymentResponse], runs: dict[str, FlowRun], url: str
) -> str:
    ui = url.removesuffix("/api")
    prefect = shlex.quote(str(Path(sys.executable).with_name("prefect")))
    lines = ["", f"works in  {Path.cwd()}{_branch()}, with the code and settings that are there when it runs"]
    for deployment in deployments:
        name = f"{client.read_flow(deployment.flow_id).name}/{deployment.name}"
        run = runs.get(deployment.name)
        when = f"next run {run.expected_start_time.astimezone():%Y-%m-%d %H:%M}" if run else "paused"
        lines += [
            f"schedule  {name}: {when}",
            f"run now   PREFECT_API_URL={url} {prefect} deployment run {name}",
            f"pause     the switch at {ui}/deployments/deployment/{deployment.id}",
        ]
    lines += [
        f"runs      {ui} (Prefect's UI; its server stays while this worker runs)",
        "This terminal holds the schedule: nothing runs after Ctrl-C, or when it is closed.",
        "",
    ]
    return "\n".join(lines) + "\n"


def _branch() -> str:
    with suppress(OSError, subprocess.CalledProcessError):
        asked = ["git", "rev-parse", "--abbrev-ref", "HEAD"]
        return f", branch {subprocess.check_output(asked, text=True, stderr=subprocess.DEVNULL).strip()}"
    return ""


if __name__ == "__main__":
    with ready_for_prefect():
        schedule()
