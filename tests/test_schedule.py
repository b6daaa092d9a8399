"""`make schedule` for real: a server, a worker and a schedule that fires, also after all was killed."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import yaml

from flows.server.own_server import LOG, RECORD
from testing.project_copy import copy_project, environment
from tests.project import asked, ended, run, succeeds

pytestmark = pytest.mark.slow
FLOW = """
import time
from pathlib import Path
from prefect import flow
@flow
def tick():
    while Path("hold").exists():
        time.sleep(0.2)
"""
OFTEN = {"name": "often", "entrypoint": "tick.py:tick", "work_pool": {"name": "monday-fer"}}
OFTEN |= {"schedules": [{"interval": 10}]}
OFTEN |= {"concurrency_limit": {"limit": 1, "collision_strategy": "CANCEL_NEW"}}
QUICK = {"PREFECT_SERVER_SERVICES_REPOSSESSOR_LOOP_SECONDS": "1"}
PATIENCE = 240  # seconds for a worker to start and a run to end, on a busy machine


def make(folder: Path, database: Path) -> Path:
    """A project whose only deployment is due every ten seconds."""
    project = copy_project(folder, database)
    (project / "tick.py").write_text(FLOW)
    (project / "prefect.yaml").write_text(yaml.safe_dump({"name": "test", "deployments": [OFTEN]}))
    return project


def begin(project: Path) -> subprocess.Popen:
    """`make schedule` in a terminal of its own."""
    with (project / "schedule.txt").open("w") as terminal:
        return subprocess.Popen(
            [sys.executable, "-m", "flows.schedule"],
            cwd=project,
            env=environment(project, **QUICK),
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
        )


def url(project: Path) -> str:
    return json.loads((project / RECORD).read_text())["url"]


def runs(project: Path, state: str) -> list[dict]:
    """The flow runs in that state, newest first."""
    wanted = {"flow_runs": {"state": {"type": {"any_": [state]}}}, "sort": "START_TIME_DESC"}
    return asked(url(project), "/flow_runs/filter", wanted).json()


def awaited(what: Callable[[], list], process: subprocess.Popen | None = None) -> list:
    deadline = time.monotonic() + PATIENCE
    while not (found := what()) and time.monotonic() < deadline:
        assert process is None or not ended(process), "the worker has ended"
        time.sleep(0.5)
    assert found
    return found


def kill(pid: int) -> None:
    for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            process.kill()


@pytest.fixture(scope="module")
def scheduled(
    tmp_path_factory: pytest.TempPathFactory, database: Path
) -> Iterator[tuple[Path, subprocess.Popen]]:
    project = make(tmp_path_factory.mktemp("scheduled") / "first", database)
    process = begin(project)
    awaited(lambda: [line for line in terminal(project) if "Worker" in line and "started" in line], process)
    yield project, process
    if process.poll() is None:
        kill(process.pid)
        process.wait()
    succeeds(project, "flows.server.own_server")


def terminal(project: Path) -> list[str]:
    return (project / "schedule.txt").read_text().splitlines()


def test_a_schedule_fires_and_its_run_runs(scheduled):
    project, process = scheduled
    assert len(runs(project, "SCHEDULED")) >= 3
    done = awaited(lambda: runs(project, "COMPLETED"), process)
    assert done[0]["auto_scheduled"]


def test_it_says_where_it_works_and_what_one_can_do(scheduled):
    project, _ = scheduled
    said = "\n".join(terminal(project))
    api = url(project)
    assert f"works in  {project}, branch ma" in said and "This terminal holds the schedule" in said
    assert "tick/often: next run 20" in said and f"PREFECT_API_URL={api}" in said
    assert f"pause     the switch at {api.removesuffix('/api')}/deployments/deployment/" in said


def test_another_clone_does_not_take_the_deployment_away(scheduled, tmp_path, database):
    project, _ = scheduled
    second = make(tmp_path / "second", database)
    done = run(second, "flows.schedule", PREFECT_API_URL=url(project))
    assert done.returncode == 1 and f"often on {url(project)} is scheduled for {project}" in done.stderr
    steps = asked(url(project), "/deployments/filter", {}).json()[0]["pull_steps"]
    assert str(project) in json.dumps(steps) and str(second) not in json.dumps(steps)


def test_after_a_reboot_in_the_middle_of_a_run_the_slot_is_free_and_later_runs_complete(scheduled):
    project, process = scheduled
    (project / "hold").touch()
    lost = awaited(lambda: [r for r in runs(project, "RUNNING") if r["infrastructure_pid"]], process)[0]
    leases = awaited(lambda: list((project / ".cache/server/concurrency_leases").glob("*-*.json")))
    assert slots(project) == [1]
    kill(process.pid)
    kill(json.loads((project / RECORD).read_text())["pid"])
    process.wait()
    (project / "hold").unlink()
    _let_the_night_pass(leases)

    succeeds(project, "flows.server", "--background", **QUICK)
    awaited(lambda: slots(project) == [0])
    assert [r["id"] for r in runs(project, "RUNNING")] == [lost["id"]]
    again = begin(project)
    try:
        crashed = awaited(lambda: runs(project, "CRASHED"), again)
        assert [r["id"] for r in crashed] == [lost["id"]]
        later = [r for r in awaited(lambda: runs(project, "COMPLETED"), again)]
        awaited(
            lambda: [r for r in runs(project, "COMPLETED") if r["start_time"] > lost["start_time"]], again
        )
        assert later
    finally:
        kill(again.pid)
        again.wait()


def slots(project: Path) -> list[int]:
    """How many runs hold the deployment's one slot, as the server counts."""
    limits = asked(url(project), "/v2/concurrency_limits/filter", {}).json()
    return [limit["active_slots"] for limit in limits]


def _let_the_night_pass(leases: list[Path]) -> None:
    """Their five minutes are over."""
    past = "2026-01-01T00:00:00+00:00"
    for lease in leases:
        lease.write_text(json.dumps(json.loads(lease.read_text()) | {"expiration": past}))
        index = lease.with_name("expirations.json")
        index.write_text(json.dumps({name: past for name in json.loads(index.read_text())}))


def test_what_people_paused_stays_paused(scheduled):
    project, _ = scheduled
    mine = asked(url(project), "/deployments/filter", {}).json()[0]["id"]
    asked(url(project), f"/deployments/{mine}/pause_deployment", {})
    process = begin(project)
    try:
        awaited(lambda: [line for line in terminal(project) if "tick/often: paused" in line], process)
        assert asked(url(project), "/deployments/filter", {}).json()[0]["paused"]
    finally:
        kill(process.pid)
        process.wait()


def test_a_server_that_schedules_nothing_does_not_pass_for_healthy(tmp_path, database):
    project = make(tmp_path / "ill", database)
    hurried = "from flows import schedule; from flows.command import ready_for_prefect\n"
    hurried += "schedule.SCHEDULED_WITHIN = 1\nwith ready_for_prefect(): schedule.schedule()"
    (project / "hurried.py").write_text(hurried)
    done = run(project, "hurried", PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED="false")
    succeeds(project, "flows.server.own_server")
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert f"its scheduler does not work; see {LOG}" in done.stderr
