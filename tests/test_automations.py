"""What starts a build, ends a dead one and tells people, by a real server's automations and a webhook."""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.events import AutomationCore, Event
from prefect.states import Cancelled, Completed, Crashed, Failed, Paused, Running

from fer_tasks.errors import UserError
from flows.automations import PREFIX, end_dead_builds, keep_automations, start_rebuild, tell_people
from flows.engine.stage import PAUSED
from flows.event_names import CHANGED, MODEL, SOURCE
from flows.notifications import ADDRESS, BLOCK, Block, notification_block
from flows.watch import forget_old_runs
from testing.webhook import Webhook, webhook

pytestmark = pytest.mark.slow
SHORT = timedelta(seconds=10)  # the shortest that Prefect takes
PATIENCE = 90  # seconds, on a busy machine


@flow(name="rebuild of the tests")
def rebuild() -> None:
    """Never called: its runs are only states."""


@pytest.fixture(scope="module")
def client(prefect) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        yield client


@pytest.fixture(scope="module")
def deployment(client) -> UUID:
    return client.create_deployment(client.create_flow(rebuild), "rebuild")


@pytest.fixture(scope="module")
def hook(client) -> Iterator[Webhook]:
    with webhook() as hook:
        yield hook
        keep_automations(client, [])


@pytest.fixture(scope="module")
def wanted(client, deployment, hook) -> list[AutomationCore]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ADDRESS, hook.address)
        block = notification_block(client)
    found = [start_rebuild(deployment), end_dead_builds(deployment, SHORT)]
    found += tell_people(block, deployment, "http://ui", timedelta(hours=26))
    keep_automations(client, found)
    time.sleep(1)  # the server's triggers learn of them
    return found


def awaited(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def emit(client: SyncPrefectClient, event: str, resource: str, **more: dict) -> None:
    one = Event(event=event, resource={"prefect.resource.id": resource}, **more)
    client.request("POST", "/events", json=[one.model_dump(mode="json")]).raise_for_status()


def run(client: SyncPrefectClient, deployment: UUID) -> UUID:
    """A run of the deployment that no worker takes."""
    one = client.create_flow_run_from_deployment(deployment, state=Running()).id
    client.set_flow_run_state(one, Running(), force=True)
    return one


def heartbeat(client: SyncPrefectClient, one: UUID, deployment: UUID) -> None:
    of = {"prefect.resource.id": f"prefect.deployment.{deployment}", "prefect.resource.role": "deployment"}
    emit(client, "prefect.flow-run.heartbeat", f"prefect.flow-run.{one}", related=[of])


def test_the_event_of_a_change_starts_a_rebuild(client, deployment, wanted):
    ours = FlowRunFilter(deployment_id={"any_": [deployment]}, state={"type": {"any_": ["SCHEDULED"]}})
    assert not client.read_flow_runs(flow_run_filter=ours)
    emit(client, CHANGED, SOURCE)
    awaited(lambda: len(client.read_flow_runs(flow_run_filter=ours)) == 1)


def test_a_build_that_sends_no_heartbeat_is_ended_and_told_of_and_a_live_one_is_not(
    client, deployment, hook, wanted
):
    dead, alive, done = (run(client, deployment) for _ in range(3))
    for one in (dead, alive, done):
        heartbeat(client, one, deployment)
    client.set_flow_run_state(done, Cancelled(name=PAUSED, message="quota"), force=True)
    deadline = time.monotonic() + PATIENCE
    while client.read_flow_run(dead).state.is_running():
        heartbeat(client, alive, deployment)
        assert time.monotonic() < deadline
        time.sleep(2)
    assert client.read_flow_run(dead).state.is_crashed()
    assert client.read_flow_run(alive).state.is_running()
    assert client.read_flow_run(done).state.name == PAUSED
    awaited(lambda: any("no heartbeat" in message.text for message in hook.messages))
    client.set_flow_run_state(alive, Completed(), force=True)


def test_people_are_told_of_bad_ends_and_of_decisions_and_of_nothing_else(client, deployment, hook, wanted):
    awaited(lambda: len(hook.messages) >= 2)  # of the test before
    hook.messages.clear()
    for state in (Failed(message="disk full"), Crashed(message="killed"), Completed(), Cancelled()):
        client.set_flow_run_state(run(client, deployment), state, force=True)
    client.set_flow_run_state(run(client, deployment), Cancelled(name=PAUSED, message="quota"), force=True)
    emit(client, f"{MODEL}.promoted", MODEL, payload={"version": "v2", "reason": "better"})
    emit(client, f"{MODEL}.refused", MODEL, payload={"champion": "v1", "reason": "a tie"})
    awaited(lambda: len(hook.messages) >= 5)
    time.sleep(1)
    texts = sorted(message.text.split("\n")[0] for message in hook.messages)
    bad = ["Crashed: killed", "Failed: disk full", "Paused: quota"]
    assert texts == [*bad, "v1 stays released: a tie", "v2 takes over: better"]
    assert all("http://ui/runs/flow-run/" in m.text for m in hook.messages if "build" in m.title)


def test_people_are_told_that_a_build_waits_for_them(client, hook, wanted):
    @flow(name="clean")
    def clean() -> None: ...

    before = len(hook.messages)
    one = client.create_flow_run(clean, state=Running())
    client.set_flow_run_state(one.id, Paused(timeout_seconds=60), force=True)
    awaited(lambda: len(hook.messages) > before)
    assert hook.titles()[-1] == "Monday FER: a build waits for people"


def test_people_are_told_that_no_build_has_completed(client, deployment, hook, wanted):
    before = len(hook.messages)
    overdue = tell_people(_block(client), deployment, "http://ui", SHORT)[-1]
    keep_automations(client, [*wanted[:-1], overdue])
    awaited(lambda: "Monday FER: no build has completed" in hook.titles()[before:])
    keep_automations(client, wanted)


def _block(client: SyncPrefectClient) -> UUID:
    return client.read_block_document_by_name(BLOCK, Block.get_block_type_slug()).id


def test_what_is_as_wanted_stays_untouched_and_what_people_disabled_disabled(client, wanted):
    def ours() -> dict[str, tuple]:
        return {a.name: (a.id, a.enabled) for a in client.read_automations() if a.name.startswith(PREFIX)}

    def changed() -> dict[str, str]:
        answer = client.request("POST", "/automations/filter", json={}).json()
        return {one["name"]: one["updated"] for one in answer}

    client.pause_automation(ours()[wanted[-1].name][0])
    before, touched = ours(), changed()
    keep_automations(client, wanted)
    assert ours() == before and changed() == touched and len(before) == 7
    other = wanted[-1].model_copy(update={"trigger": wanted[0].trigger})
    keep_automations(client, [*wanted[1:-1], other])
    assert ours() == {name: one for name, one in before.items() if name != wanted[0].name}
    assert not ours()[other.name][1]
    keep_automations(client, wanted)


def test_an_address_that_is_none_is_refused_without_telling_it(client, monkeypatch):
    monkeypatch.setenv(ADDRESS, "gopher://s3cret")
    with pytest.raises(UserError, match="is not one that Apprise knows") as error:
        notification_block(client)
    assert "s3cret" not in str(error.value)


def test_the_address_is_shown_to_nobody(client, wanted):
    shown = client.request("GET", f"/block_documents/{_block(client)}").text
    assert "s3cret" not in shown and "******" in shown


def test_the_completed_runs_of_watch_are_forgotten_but_the_newest(client, monkeypatch):
    mine = client.create_deployment(client.create_flow(rebuild), "watch")
    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", str(mine))
    ours = FlowRunFilter(deployment_id={"any_": [mine]})
    for state in (Failed(), Completed(), Completed(), Completed()):
        client.set_flow_run_state(run(client, mine), state, force=True)
    forget_old_runs(kept=1)
    left = client.read_flow_runs(flow_run_filter=ours)
    assert sorted(one.state.name for one in left) == ["Completed", "Failed"]
