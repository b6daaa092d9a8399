"""A project in a folder of its own that `make schedule` runs: made, started, asked, killed and ended."""

import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import psutil
import yaml
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort

from flows.server.own_server import FOLDER, RECORD
from testing.git_repository import git
from testing.project_copy import change_params, copy_project, environment

AUTHOR = "nightly <nightly@example.org>"
BEGUN = ["RUNNING", "COMPLETED", "FAILED", "CRASHED", "CANCELLED", "CANCELLING", "PAUSED"]
AT_WORK = ["Late", "AwaitingConcurrencySlot", "Pending", "Submitting", "Running", "Cancelling"]
STARTS_WITHIN = 300  # seconds, on a busy machine
ENDS_WITHIN = 40  # seconds after each SIGTERM


class Place(NamedTuple):
    """A folder that holds all of it."""

    root: Path

    @property
    def project(self) -> Path:
        return self.root / "project"

    @property
    def origin(self) -> Path:
        return self.root / "origin.git"

    @property
    def terminal(self) -> Path:
        return self.root / "schedule.txt"


def make_scheduled(root: Path, night_minutes: int, watch_minutes: float, cells: Sequence[dict]) -> Place:
    """A project with a grid of these cells, a bare repository as `origin` and a DVC remote, all in `root`.

    Its source is the folder `photos`, which is not there yet; a night comes every `night_minutes`.
    """
    place = Place(root)
    (root / "tmp").mkdir()
    project = copy_project(place.project)
    (project / "grids" / "week.yaml").write_text(yaml.safe_dump({"cells": [*cells]}))
    change_params(
        project,
        download={"source": "photos"},
        schedule={"watch_minutes": watch_minutes},
        train={"grid": "week"},
        versions={"author": AUTHOR, "remote": "origin"},
    )
    content = yaml.safe_load((project / "prefect.yaml").read_text())
    nightly = next(one for one in content["deployments"] if one["name"] == "rebuild")
    nightly["schedules"] = [{"cron": f"*/{night_minutes} * * * *"}]
    (project / "prefect.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    _set_remote(project, root / "remote")
    with (project / ".gitignore").open("a") as ignored:
        ignored.write("/photos/\n")
    git("init", "--quiet", "--bare", f"--initial-branch={branch(project)}", str(place.origin), folder=root)
    git("remote", "add", "origin", str(place.origin), folder=project)
    git("add", "--all", folder=project)
    git("commit", "--quiet", "--message", "a week's settings", folder=project)
    git("push", "--quiet", "origin", "HEAD", folder=project)
    return place


def _set_remote(project: Path, remote: Path) -> None:
    """The DVC remote of every clone."""
    (project / ".dvc" / "config.local").unlink()
    lines = ["[core]", "    analytics = false", "    autostage = false", "    remote = shared"]
    lines += ["['remote \"shared\"']", f"    url = {remote}", ""]
    (project / ".dvc" / "config").write_text("\n".join(lines))


def branch(project: Path) -> str:
    return git("symbolic-ref", "--short", "HEAD", folder=project)


def begin(place: Place, **extra: str) -> subprocess.Popen:
    """`make schedule` in a terminal of its own; returns when its worker has started."""
    place.terminal.write_text("")
    with place.terminal.open("a") as terminal:
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.schedule"],
            cwd=place.project,
            env=environment(place.project, TMPDIR=str(place.root / "tmp"), **extra),
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
        )
    deadline = time.monotonic() + STARTS_WITHIN
    while not any("Worker" in line and "started" in line for line in place.terminal.read_text().splitlines()):
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"make schedule did not start:\n{place.terminal.read_text()[-3000:]}")
        time.sleep(0.5)
    return process


def end(place: Place, process: subprocess.Popen) -> list[str]:
    """End worker and server as people do; returns what is still there half a minute later."""
    for _ in range(2):
        with suppress(ProcessLookupError, subprocess.TimeoutExpired):
            process.send_signal(signal.SIGTERM)
            process.wait(ENDS_WITHIN)
    stop = [sys.executable, "-m", "flows.server.own_server"]
    subprocess.run(stop, cwd=place.project, env=environment(place.project), stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while processes(place) and time.monotonic() < deadline:
        time.sleep(0.5)
    return [" ".join(one.cmdline()) for one in processes(place)]


def processes(place: Place) -> list[psutil.Process]:
    """All that works in the folder; `TMPDIR` is in it, too."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if Path(process.cwd()).is_relative_to(place.root):
                found.append(process)
    return found


def kill_all(place: Place) -> int:
    """As if the power had gone; returns how many processes there were."""
    killed = set()
    while there := processes(place):
        for process in there:
            with suppress(psutil.NoSuchProcess):
                process.kill()
            killed.add(process.pid)
        psutil.wait_procs(there, timeout=5)
    return len(killed)


def kill_build(build: FlowRun) -> None:
    """SIGKILL to the process of a build, not to DVC and the stage that it has started."""
    family = psutil.Process(int(build.infrastructure_pid))
    for process in [family, *family.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            if "prefect" in " ".join(process.cmdline()):
                process.kill()


def api(place: Place) -> SyncPrefectClient:
    """A client of the project's server."""
    return SyncPrefectClient(json.loads((place.project / RECORD).read_text())["url"])


def begun(client: SyncPrefectClient, deployment: str) -> list[FlowRun]:
    """The runs of a deployment that have begun, oldest first."""
    wanted = FlowRunFilter(
        deployment_id={"any_": [client.read_deployment_by_name(deployment).id]},
        state={"type": {"any_": BEGUN}},
    )
    newest = client.read_flow_runs(flow_run_filter=wanted, sort=FlowRunSort.START_TIME_DESC, limit=50)
    return newest[::-1]


def at_work(client: SyncPrefectClient, *deployments: str) -> list[FlowRun]:
    """The runs of these deployments that have begun and not ended, or wait for their turn."""
    which = [client.read_deployment_by_name(name).id for name in deployments]
    wanted = FlowRunFilter(deployment_id={"any_": which}, state={"name": {"any_": AT_WORK}})
    return client.read_flow_runs(flow_run_filter=wanted)


def stages(client: SyncPrefectClient, build: FlowRun) -> list[FlowRun]:
    """The stages of a build that have begun."""
    return client.read_flow_runs(flow_run_filter=FlowRunFilter(parent_flow_run_id={"any_": [build.id]}))


@contextmanager
def paused(place: Place, deployment: str) -> Iterator[None]:
    """Without scheduled runs of a deployment, as by the switch in the UI."""
    with api(place) as client:
        which = client.read_deployment_by_name(deployment).id
        client.pause_deployment(which)
        try:
            yield
        finally:
            client.resume_deployment(which)


def database_bytes(place: Place) -> int:
    """What Prefect's database holds, free pages aside."""
    file = place.project / FOLDER / "prefect.db"
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
        page, pages, free = (
            database.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_size", "page_count", "freelist_count")
        )
    return page * (pages - free)


def cpu_seconds(process: psutil.Process) -> float:
    """CPU time of a process and of all that it has waited for."""
    times = process.cpu_times()
    return times.user + times.system + times.children_user + times.children_system


def own_server(place: Place) -> psutil.Process:
    return psutil.Process(json.loads((place.project / RECORD).read_text())["pid"])
