"""Prefect's automations of this project: what starts a rebuild, ends dead runs and tells people."""

from datetime import timedelta
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import StateType
from prefect.events import (
    AutomationCore,
    ChangeFlowRunState,
    EventTrigger,
    Posture,
    RunDeployment,
    SendNotification,
)

from flows.event_names import CHANGED, MODEL, SOURCE

PREFIX = "monday-fer: "  # of the names of all of them
SILENT = timedelta(minutes=6)  # 12 heartbeats, and longer than a slot's lease lasts without its run
FLOW_RUN = "prefect.flow-run."
ENDS = tuple(FLOW_RUN + state for state in ("Completed", "Failed", "Crashed", "Cancelled", "TimedOut"))
TAKES_OVER = "{{ event.payload.version }} takes over: {{ event.payload.reason }}"
STAYS = "{{ event.payload.champion or 'no model' }} stays released: {{ event.payload.reason }}"
BAD_ENDS = {FLOW_RUN + state for state in ("Failed", "Crashed", "TimedOut", "Paused")}


def start_rebuild(rebuild: UUID) -> AutomationCore:
    return AutomationCore(
        name=f"{PREFIX}rebuild when the source has changed",
        trigger=_event({CHANGED}, match={"prefect.resource.id": SOURCE}),
        actions=[RunDeployment(deployment_id=rebuild)],
    )


def end_dead_builds(rebuild: UUID, silent: timedelta = SILENT) -> AutomationCore:
    """Mark builds as crashed that have stopped to send heartbeats."""
    trigger = EventTrigger(
        after={f"{FLOW_RUN}heartbeat"},
        expect={f"{FLOW_RUN}heartbeat", *ENDS, f"{FLOW_RUN}Paused"},
        match={"prefect.resource.id": f"{FLOW_RUN}*"},
        match_related=_of(rebuild),
        for_each={"prefect.resource.id"},
        posture=Posture.Proactive,
        within=silent,
    )
    why = f"its process has sent no heartbeat for {silent.total_seconds() / 60:g} minutes"
    crash = ChangeFlowRunState(state=StateType.CRASHED, name="Crashed", message=why)
    return AutomationCore(name=f"{PREFIX}end dead builds", trigger=trigger, actions=[crash])


def tell_people(block: UUID, rebuild: UUID, ui: str, overdue: timedelta) -> list[AutomationCore]:
    """Notifications through the block. `ui`: the address of Prefect's UI, for links."""

    def tell(what: str, trigger: EventTrigger, body: str) -> AutomationCore:
        action = SendNotification(block_document_id=block, subject=f"Monday FER: {what}", body=body)
        return AutomationCore(name=f"{PREFIX}tell: {what}", trigger=trigger, actions=[action])

    link = f"{ui}/runs/flow-run/{{{{ flow_run.id }}}}"
    state = "{{ flow_run.state.name }}: {{ flow_run.state.message }}"
    hours = f"{overdue.total_seconds() / 3600:g} hours"
    completed = EventTrigger(
        expect={f"{FLOW_RUN}Completed"},
        match_related=_of(rebuild),
        posture=Posture.Proactive,
        within=overdue,
    )
    waits = {"prefect.resource.role": "flow", "prefect.resource.name": "clean"}
    return [
        tell("a build did not succeed", _event(BAD_ENDS, match_related=_of(rebuild)), f"{state}\n{link}"),
        tell("a build waits for people", _event({f"{FLOW_RUN}Paused"}, match_related=waits), link),
        tell("a model was promoted", _model_event("promoted"), TAKES_OVER),
        tell("a model was refused", _model_event("refused"), STAYS),
        tell("no build has completed", completed, f"For {hours}, not even one without changes: see {ui}"),
    ]


def keep_automations(client: SyncPrefectClient, wanted: list[AutomationCore]) -> None:
    """Make these the server's automations of this project.

    One that is there as wanted stays untouched, so that it goes on counting its hours. What people have
    disabled stays disabled. Those that are not wanted any more are deleted.
    """
    there = {one.name: one for one in client.read_automations() if one.name.startswith(PREFIX)}
    for automation in wanted:
        if not (old := there.pop(automation.name, None)):
            client.create_automation(automation)
        elif _content(old) != _content(automation):
            client.update_automation(old.id, automation.model_copy(update={"enabled": old.enabled}))
    for old in there.values():
        client.delete_automation(old.id)


def _content(automation: AutomationCore) -> dict:
    """What it does, without what the server adds."""
    content = automation.model_dump(mode="json", include={"trigger", "actions"})
    content["trigger"] = {
        name: sorted(value) if isinstance(value, list) else value
        for name, value in content["trigger"].items()
    }
    return content


def _event(expect: set[str], **match: dict) -> EventTrigger:
    return EventTrigger(expect=expect, posture=Posture.Reactive, **match)


def _model_event(what: str) -> EventTrigger:
    return _event({f"{MODEL}.{what}"}, match={"prefect.resource.id": MODEL})


def _of(deployment: UUID) -> dict[str, str]:
    """The related resource of events of this deployment's runs."""
    return {"prefect.resource.role": "deployment", "prefect.resource.id": f"prefect.deployment.{deployment}"}
