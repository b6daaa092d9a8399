"""This project's deployments on a Prefect server: whose they are, deploying, runs that are dead."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import yaml
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import DeploymentResponse
from prefect.states import Crashed

from fer_tasks.errors import UserError
from fer_tasks.storage.files import write_text
from flows.engine.parent_run import crash_orphans
from flows.server.own_server import own_server

DEPLOYED = Path(".cache/prefect.yaml")  # prefect.yaml with what params.yaml says
WORKS_IN = "prefect.deployments.steps.set_working_directory"


def defined() -> dict[str, str]:
    """The deployments of prefect.yaml: {name: entrypoint}."""
    return {one["name"]: one["entrypoint"] for one in _prefect_yaml()["deployments"]}


def deployed(client: SyncPrefectClient) -> list[DeploymentResponse]:
    """The server's deployments of the names in prefect.yaml, this project's or another's."""
    wanted = defined()
    return [one for one in client.read_deployments() if wanted.get(one.name) == one.entrypoint]


def refuse_others(deployments: list[DeploymentResponse], url: str) -> None:
    """Raise UserError if a deployment belongs to another folder: deploying would take it over.

    On this project's own server, a folder that no longer exists was moved here.
    """
    for deployment in deployments:
        others = [folder for folder in _folders(deployment) if folder.resolve() != Path.cwd().resolve()]
        own = (server := own_server()) and server.url == url
        if others and not (own and not others[0].exists()):
            raise UserError(
                f"{deployment.name} on {url} is scheduled for {others[0]}: unset PREFECT_API_URL to use a "
                "server of this project's own, or delete it there: "
                f"`prefect deployment delete {deployment.id}`"
            )


def deploy(client: SyncPrefectClient, url: str, watch_minutes: float) -> list[DeploymentResponse]:
    """Deploy prefect.yaml; returns its deployments. What people have paused stays paused.

    Deployments of this folder that prefect.yaml has no more are deleted.
    """
    before, wanted = deployed(client), defined()
    paused = {one.entrypoint for one in before if one.paused}
    for deployment in client.read_deployments():
        if Path.cwd() in _folders(deployment) and deployment.name not in wanted:
            paused |= {deployment.entrypoint} if deployment.paused else set()
            client.delete_deployment(deployment.id)
    _deploy_file(url, watch_minutes)
    for deployment in deployed(client):
        if deployment.entrypoint in paused:
            client.pause_deployment(deployment.id)
    return deployed(client)


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
    crash_orphans(client)


def _is_alive(run: FlowRun) -> bool:
    """Whether its process exists. One that started after the run only reuses the process id."""
    try:
        began = psutil.Process(int(run.infrastructure_pid or 0)).create_time()
    except (psutil.NoSuchProcess, ValueError):
        return False
    return run.start_time is None or began < run.start_time.timestamp() + 2


def _folders(deployment: DeploymentResponse) -> list[Path]:
    """Where it works: none or one."""
    return [Path(step[WORKS_IN]["directory"]) for step in deployment.pull_steps or [] if WORKS_IN in step]


def _deploy_file(url: str, watch_minutes: float) -> None:
    content = _prefect_yaml()
    for deployment in content["deployments"]:
        if deployment["name"] == "watch":
            deployment["schedules"] = [{"interval": 60 * watch_minutes}]
    write_text(DEPLOYED, yaml.safe_dump(content, sort_keys=False))
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(DEPLOYED)],
        env={**os.environ, "PREFECT_API_URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise UserError(f"`prefect deploy --all` failed: {' '.join(done.stdout.split())[-1000:]}")


def _prefect_yaml() -> dict[str, Any]:
    return yaml.safe_load(Path("prefect.yaml").read_text())
