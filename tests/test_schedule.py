"""`make schedule` for real: a server, a worker, a schedule that fires and builds that an event starts, also
after all was killed."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import psutil
import pytest
import yaml

from flows.deployments import WORKS_IN
from flows.event_names import CHANGED, SOURCE
from flows.notifications import ADDRESS
from flows.server.own_server import LOG, RECORD
from flows.server.which_server import is_answering
from testing.project_copy import change_params, copy_project, environment
from testing.webhook import Webhook, webhook
from tests.project import asked, commit, ended, run, succeeds

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
REBUILD = {"name": "rebuild", "entrypoint": "flows/rebuild.py:rebuild", "work_pool": {"name": "monday-fer"}}
REBUILD |= {"schedules": [], "concurrency_limit": {"limit": 1, "collision_strategy": "ENQUEUE"}}
STAGE = """
import time
from pathlib import Path
from prefect import flow
from flows.engine.stage import run_stage
@flow(name="held")
def held(settings):
    while Path("held").exists():
        time.sleep(0.2)
run_stage(held)
"""
DVC_YAML = {"stages": {"held": {"cmd": "python -m stage", "deps": ["photos"], "outs": ["out"]}}}
QUICK = {"PREFECT_SERVER_SERVICES_REPOSSESSOR_LOOP_SECONDS": "1"}
PATIENCE = 240  # seconds for a worker to start and a run to end, on a busy machine


def make(folder: Path, database: Path) -> Path:
    """A project with a deployment that is due every ten seconds, and one of rebuilds, whose only stage is
    held as long as a file is there."""
    project = copy_project(folder, database)
    (project / "tick.py").write_text(FLOW)
    (project / "prefect.yaml").write_text(yaml.safe_dump({"name": "test", "deployments": [OFTEN, REBUILD]}))
    (project / "stage.py").write_text(STAGE)
    (project / "dvc.yaml").write_text(yaml.safe_dump(DVC_YAML))
    (project / "photos").mkdir()
    (project / "held").touch()
    change_params(project, download={"source": "photos"})
    commit(project)
    return project


def begin(project: Path, **extra: str) -> subprocess.Popen:
    """`make schedule` in a terminal of its own."""
    with (project / "schedule.txt").open("w") as terminal:
        return subprocess.Popen(
            [sys.executable, "-m", "flows.schedule"],
            cwd=project,
            env=environment(project, **QUICK, **extra),
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
def hook() -> Iterator[Webhook]:
    with webhook() as hook:
        yield hook


@pytest.fixture(scope="module")
def scheduled(
    tmp_path_factory: pytest.TempPathFactory, database: Path, hook: Webhook
) -> Iterator[tuple[Path, subprocess.Popen]]:
    project = make(tmp_path_factory.mktemp("scheduled") / "first", database)
    process = begin(project, **{ADDRESS: hook.address})
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
    steps = [one["pull_steps"] for one in deployments(project)]
    assert str(project) in json.dumps(steps) and str(second) not in json.dumps(steps)


def test_the_address_for_notifications_is_nowhere_to_be_read(scheduled, hook):
    project, process = scheduled
    secret = hook.address.rpartition("/")[2]
    assert "told      the address in the block monday-fer" in terminal(project)
    assert ADDRESS not in psutil.Process(process.pid).environ()
    read = [project / "schedule.txt", project / LOG, project / ".cache" / "prefect.yaml"]
    assert not [file for file in read if secret in file.read_text()]


@pytest.fixture
def build(scheduled) -> Iterator[dict]:
    """A rebuild that the event of a change has started, and whose stage runs; nothing else is due."""
    project, process = scheduled
    mine = {one["name"]: one["id"] for one in asked(url(project), "/deployments/filter", {}).json()}
    asked(url(project), f"/deployments/{mine['often']}/pause_deployment", {})
    event = {"event": CHANGED, "resource": {"prefect.resource.id": SOURCE}, "id": str(uuid4())}
    event |= {"occurred": datetime.now(UTC).isoformat()}
    assert asked(url(project), "/events", [event]).status_code == 204
    stage = awaited(lambda: children(project, "RUNNING"), process)[0]
    run = next(one for one in runs(project, "RUNNING") if one["deployment_id"] == mine["rebuild"])
    assert run["created_by"]["type"] == "AUTOMATION" and stage["name"] == "held"
    yield run
    asked(url(project), f"/deployments/{mine['often']}/resume_deployment", {})


def children(project: Path, state: str) -> list[dict]:
    """The runs of stages that are part of a rebuild."""
    return [one for one in runs(project, state) if one["parent_task_run_id"]]


def processes(project: Path) -> list[str]:
    """What DVC has started in the project."""
    at_work = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            line = " ".join(process.cmdline())
            at_work += [line] * (process.cwd() == str(project) and ("dvc" in line or "stage" in line))
    return at_work


def test_a_build_whose_process_is_killed_ends_with_all_its_stages_and_is_told_of(scheduled, build, hook):
    project, _ = scheduled
    assert len(processes(project)) >= 2
    killed = psutil.Process(int(build["infrastructure_pid"]))
    for process in [killed, *killed.children(recursive=True)]:
        if "prefect" in " ".join(process.cmdline()):
            process.kill()
    awaited(lambda: [one for one in runs(project, "CRASHED") if one["id"] == build["id"]])
    awaited(lambda: [True] * (not processes(project)))
    awaited(lambda: children(project, "CRASHED"))
    awaited(lambda: [one for one in hook.titles() if one == "Monday FER: a build did not succeed"])


def test_a_cancelled_build_ends_all_and_says_so(scheduled, build, hook):
    project, _ = scheduled
    before, began = len(hook.messages), time.monotonic()
    asked(url(project), f"/flow_runs/{build['id']}/set_state", {"state": {"type": "CANCELLING"}})
    awaited(lambda: [True] * (not processes(project)))
    assert time.monotonic() - began < 10
    awaited(lambda: [one for one in runs(project, "CANCELLED") if one["id"] == build["id"]])
    assert time.monotonic() - began < 10
    assert len(children(project, "CANCELLED")) == 1
    lines = awaited(lambda: [line for line in log(project, build["id"]) if "Finished in state" in line])
    assert lines[-1] == "Finished in state Cancelled('the build was cancelled')"
    assert len(hook.messages) == before


def log(project: Path, run: str) -> list[str]:
    wanted = {"logs": {"flow_run_id": {"any_": [run]}}, "sort": "TIMESTAMP_ASC"}
    return [line["message"] for line in asked(url(project), "/logs/filter", wanted).json()]


def test_a_server_that_dies_is_started_again_at_the_same_address(scheduled):
    project, process = scheduled
    died = json.loads((project / RECORD).read_text())
    psutil.Process(died["pid"]).kill()
    awaited(lambda: [True] * (json.loads((project / RECORD).read_text())["pid"] != died["pid"]), process)
    assert url(project) == died["url"] and is_answering(died["url"])


def test_after_a_reboot_in_the_middle_of_a_run_the_slot_is_free_and_later_runs_complete(scheduled):
    project, process = scheduled
    (project / "hold").touch()
    lost = awaited(lambda: [r for r in runs(project, "RUNNING") if r["infrastructure_pid"]], process)[0]
    leases = awaited(lambda: list((project / ".cache/server/concurrency_leases").glob("*-*.json")))
    assert slots(project) == 1
    kill(process.pid)
    kill(json.loads((project / RECORD).read_text())["pid"])
    process.wait()
    (project / "hold").unlink()
    _let_the_night_pass(leases)

    succeeds(project, "flows.server", "--background", **QUICK)
    awaited(lambda: [True] * (slots(project) == 0))
    assert [r["id"] for r in runs(project, "RUNNING")] == [lost["id"]]
    again = begin(project)
    try:
        same = lost["deployment_id"]
        crashed = awaited(lambda: [r for r in runs(project, "CRASHED") if r["deployment_id"] == same], again)
        assert [r["id"] for r in crashed] == [lost["id"]]
        later = [r for r in awaited(lambda: runs(project, "COMPLETED"), again)]
        awaited(
            lambda: [r for r in runs(project, "COMPLETED") if r["start_time"] > lost["start_time"]], again
        )
        assert later
    finally:
        kill(again.pid)
        again.wait()


def slots(project: Path) -> int:
    """How many runs hold the one slot of a deployment, as the server counts."""
    limits = asked(url(project), "/v2/concurrency_limits/filter", {}).json()
    return sum(limit["active_slots"] for limit in limits)


def _let_the_night_pass(leases: list[Path]) -> None:
    """Their five minutes are over."""
    past = "2026-01-01T00:00:00+00:00"
    for lease in leases:
        lease.write_text(json.dumps(json.loads(lease.read_text()) | {"expiration": past}))
        index = lease.with_name("expirations.json")
        index.write_text(json.dumps({name: past for name in json.loads(index.read_text())}))


def test_what_people_paused_stays_paused_and_what_is_left_over_goes(scheduled):
    project, _ = scheduled
    often = next(one for one in deployments(project) if one["name"] == "often")
    asked(url(project), f"/deployments/{often['id']}/pause_deployment", {})
    old = {"name": "nightly", "flow_id": often["flow_id"], "entrypoint": "nightly.py:nightly"}
    old |= {"pull_steps": [{WORKS_IN: {"directory": str(project)}}]}
    asked(url(project), "/deployments/", old)
    asked(url(project), "/deployments/", old | {"name": "another's", "pull_steps": []})
    before = automations(project)
    process = begin(project)
    try:
        awaited(lambda: [line for line in terminal(project) if "tick/often: paused" in line], process)
        now = {one["name"]: one["paused"] for one in deployments(project)}
        assert now == {"often": True, "rebuild": False, "another's": False}
        assert automations(project) == before and len(before) == 7
    finally:
        kill(process.pid)
        process.wait()


def deployments(project: Path) -> list[dict]:
    return asked(url(project), "/deployments/filter", {}).json()


def automations(project: Path) -> dict[str, str]:
    return {one["name"]: one["id"] for one in asked(url(project), "/automations/filter", {}).json()}


def test_a_server_that_schedules_nothing_does_not_pass_for_healthy(tmp_path, database):
    project = make(tmp_path / "ill", database)
    hurried = "from flows import schedule; from flows.command import ready_for_prefect\n"
    hurried += "schedule.SCHEDULED_WITHIN = 1\nwith ready_for_prefect(): schedule.schedule()"
    (project / "hurried.py").write_text(hurried)
    done = run(project, "hurried", PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED="false")
    succeeds(project, "flows.server.own_server")
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert f"its scheduler does not work; see {LOG}" in done.stderr
