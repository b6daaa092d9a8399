"""Tell that the source or the decisions have changed, once they have come to rest: what starts a rebuild."""

import hashlib
import json
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, runtime
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.sorting import FlowRunSort
from prefect.events import Event

from fer_tasks.settings import load_settings
from fer_tasks.storage.files import read_json, write_text
from flows.event_names import CHANGED, SOURCE
from flows.source_files import check_source, fingerprint

SEEN = Path(".cache/watch.json")  # what the last poll saw, and what was told last
DECISIONS = Path("review/decisions.csv")
KEPT = 150  # runs of this flow on the server, a day of them


@flow(name="watch", persist_result=False)
def watch() -> bool:
    """Emit CHANGED if two polls see the same change; returns whether it did.

    The same state is told once, whether its rebuild succeeds or not: the nightly one tries again.

    Raises:
        UserError: the source is missing or not one.
    """
    source = Path(load_settings().download.source)
    check_source(source)
    now = what_comes_in(source)
    seen = read_json(SEEN) or {}
    last, told = seen.get("last"), seen.get("told")
    changed = [name for name in now if now[name] != (told or {}).get(name)]
    at_rest = now == last
    if changed and at_rest:
        emit({"changed": changed, **now})
        told = now
    write_text(SEEN, json.dumps({"last": now, "told": told}))
    get_run_logger().info(_in_words(changed, at_rest))
    forget_old_runs()
    return bool(changed) and at_rest


def what_comes_in(source: Path) -> dict[str, str]:
    """What people bring: the source, a fingerprint of its pictures, and a hash of the decisions."""
    decisions = DECISIONS.read_bytes() if DECISIONS.exists() else b""
    digest = hashlib.sha256(decisions).hexdigest()[:16]
    return {"source": str(source), "pictures": fingerprint(source), "decisions": digest}


def emit(payload: dict[str, Any]) -> None:
    """Emit CHANGED; returns when the server has it."""
    event = Event(event=CHANGED, resource={"prefect.resource.id": SOURCE}, payload=payload)
    with get_client(sync_client=True) as client:
        client.request("POST", "/events", json=[event.model_dump(mode="json")]).raise_for_status()


def forget_old_runs(kept: int = KEPT) -> None:
    """Delete the completed runs of this deployment but the newest: there are 50,000 a year."""
    if not (mine := runtime.deployment.id):
        return
    completed = FlowRunFilter(deployment_id={"any_": [mine]}, state={"type": {"any_": ["COMPLETED"]}})
    with get_client(sync_client=True) as client:
        newest = FlowRunSort.START_TIME_DESC
        for run in client.read_flow_runs(flow_run_filter=completed, sort=newest, offset=kept, limit=20):
            client.delete_flow_run(run.id)


def _in_words(changed: list[str], at_rest: bool) -> str:
    if not changed:
        return "nothing has changed"
    what = " and ".join(changed)
    return f"changed: {what}; " + ("told" if at_rest else "told if the next poll sees the same")
