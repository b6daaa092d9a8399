"""`make schedule`: deploy prefect.yaml on this project's server, check that it schedules, start a worker."""

import os
import shlex
import subprocess
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.sorting import FlowRunSort
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.workers.process import ProcessWorker

from fer_tasks.errors import UserError
from fer_tasks.settings import load_settings
from flows.automations import end_dead_builds, keep_automations, start_rebuild, tell_people
from flows.command import ready_for_prefect
from flows.deployments import crash_dead_runs, deploy, deployed, refuse_others
from flows.notifications import ADDRESS, notification_block
from flows.server.background import start_in_background
from flows.server.own_server import LOG, own_server
from flows.worker import POOL

SCHEDULED_WITHIN = 60  # seconds after a deployment; 1 to 5 here


def schedule() -> None:
    """Deploy, check, print a summary, and become the worker.

    Raises:
        UserError: the server cannot be used, has another project's deployment of the same name, or schedules
            nothing; or the address for notifications is not one.
    """
    settings = load_settings()
    url = start_in_background(settings.server.idle_minutes)
    with temporary_settings({PREFECT_API_URL: url}), get_client(sync_client=True) as client:
        before = deployed(client)
        refuse_others(before, url)
        began = datetime.now(UTC)
        client.create_work_pool(_pool(), overwrite=True)
        now = deploy(client, url, settings.schedule.watch_minutes)
        tells = _automate(client, now, url, timedelta(hours=settings.schedule.overdue_hours))
        runs = wait_until_scheduled(client, now, began)
        crash_dead_runs(client, now)  # last: a server that has just started now knows whom to tell
        sys.stdout.write(_summary(client, now, runs, url, tells))
        sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, "-m", "flows.worker"], {**os.environ, "PREFECT_API_URL": url})


def _automate(
    client: SyncPrefectClient, deployments: list[DeploymentResponse], url: str, overdue: timedelta
) -> bool:
    """Make the automations of `rebuild`; returns whether people are told."""
    block = notification_block(client)
    for rebuild in (one.id for one in deployments if one.name == "rebuild"):
        wanted = [start_rebuild(rebuild), end_dead_builds(rebuild)]
        if block:
            wanted += tell_people(block, rebuild, url.removesuffix("/api"), overdue)
        keep_automations(client, wanted)
    return block is not None


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


def _summary(
    client: SyncPrefectClient,
    deployments: list[DeploymentResponse],
    runs: dict[str, FlowRun],
    url: str,
    tells: bool,
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
    nobody = f"nobody: set {ADDRESS} to an address such as ntfys://ntfy.sh/TOPIC"
    lines += [
        f"told      {'the address in the block monday-fer' if tells else nobody}",
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
