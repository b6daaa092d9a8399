"""`make schedule` where Prefect's server keeps its data in PostgreSQL."""

from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.event_names import CHANGED, SOURCE
from flows.server.own_server import FOLDER
from flows.watch import forget_old_runs
from testing.postgres import MISSING, Postgres, postgres, programs
from tests.project import asked, free_port, succeeds
from tests.test_schedule import awaited, begin, deployments, kill, make, runs, terminal, url

pytestmark = [pytest.mark.slow, pytest.mark.skipif(programs() is None, reason=MISSING)]
NAMES = "SELECT name FROM deployment ORDER BY name"


@pytest.fixture
def database() -> Iterator[Postgres]:
    with postgres(free_port()) as database:
        database.run("createdb", "prefect")
        yield database


def test_schedules_fire_events_start_builds_old_runs_go_and_a_backup_holds_what_is_there(
    database, tmp_path, monkeypatch
):
    project = make(tmp_path / "project", None)
    process = begin(project, PREFECT_SERVER_DATABASE_CONNECTION_URL=database.url("prefect"))
    try:
        awaited(lambda: [line for line in terminal(project) if "Worker" in line], process)
        assert len(runs(project, "SCHEDULED")) >= 3

        mine = {one["name"]: one["id"] for one in deployments(project)}
        change = {"event": CHANGED, "resource": {"prefect.resource.id": SOURCE}, "id": str(uuid4())}
        change |= {"occurred": datetime.now(UTC).isoformat()}
        assert asked(url(project), "/events", [change]).is_success
        build = awaited(
            lambda: [r for r in runs(project, "RUNNING") if r["deployment_id"] == mine["rebuild"]]
        )
        assert build[0]["created_by"]["type"] == "AUTOMATION"

        two = awaited(lambda: runs(project, "COMPLETED")[1:], process)
        assert all(run["auto_scheduled"] for run in two)
        monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", mine["often"])
        with temporary_settings({PREFECT_API_URL: url(project)}):
            forget_old_runs(kept=1)
        assert two[-1]["id"] not in [run["id"] for run in runs(project, "COMPLETED")]

        database.run("createdb", "restored")
        database.run("psql", "restored", "--quiet", text=database.run("pg_dump", "prefect"))
        assert database.run("psql", "restored", "-tc", NAMES).split() == ["often", "rebuild"]
        assert not (project / FOLDER / "prefect.db").exists()
    finally:
        kill(process.pid)
        process.wait()
        succeeds(project, "flows.server.own_server")
