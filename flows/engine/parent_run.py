"""Stages of a build are its children: in Prefect's UI, and in that they end with it.

DVC runs each stage as a process of its own, so the environment carries what makes it a child.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from uuid import UUID

import psutil
from prefect import Flow, runtime
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.context import FlowRunContext
from prefect.exceptions import ObjectNotFound
from prefect.results import get_result_store
from prefect.states import Crashed, State

RUN, PROCESS = "MONDAY_FER_PARENT_RUN", "MONDAY_FER_PARENT_PROCESS"
UNFINISHED = ["PENDING", "RUNNING", "PAUSED", "CANCELLING"]


def as_parent() -> dict[str, str]:
    """The variables with which stages that are started from this flow run become its children."""
    return {RUN: str(runtime.flow_run.id), PROCESS: str(os.getpid())}


@contextmanager
def inside_parent_run(flow: Flow) -> Iterator[None]:
    """Within it the flow starts as a child of the run that the environment names, if it names one.

    The process then gets SIGTERM as soon as the parent's process is gone.
    """
    if RUN not in os.environ:
        yield
        return
    _end_with(int(os.environ[PROCESS]))
    with get_client(sync_client=True) as client:
        try:
            parent = client.read_flow_run(UUID(os.environ[RUN]))
        except ObjectNotFound:  # the stage was sent to another server
            yield
            return
        with FlowRunContext(
            flow=flow,
            flow_run=parent,
            client=client,
            task_runner=flow.task_runner,
            result_store=get_result_store(),
            parameters={},
            detached=True,
        ):
            yield


def _end_with(pid: int) -> None:
    def watch() -> None:
        with suppress(psutil.NoSuchProcess):
            psutil.Process(pid).wait()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def end_children(client: SyncPrefectClient, parent: UUID, state: State) -> None:
    """Give `state` to the children of a run that have not ended, or crashed as they were told to end."""
    children = FlowRunFilter(
        parent_flow_run_id={"any_": [parent]}, state={"type": {"any_": [*UNFINISHED, "CRASHED"]}}
    )
    for run in client.read_flow_runs(flow_run_filter=children):
        client.set_flow_run_state(run.id, state, force=True)


def crash_orphans(client: SyncPrefectClient) -> None:
    """Mark runs as crashed that have not ended though the run that they are children of has."""
    unfinished = FlowRunFilter(parent_task_run_id={"is_null_": False}, state={"type": {"any_": UNFINISHED}})
    for run in client.read_flow_runs(flow_run_filter=unfinished):
        with suppress(ObjectNotFound):  # somebody deletes runs in the UI
            parent = client.read_task_run(run.parent_task_run_id).flow_run_id
            if client.read_flow_run(parent).state.is_final():
                why = Crashed(message="the build that it belongs to has ended without it")
                client.set_flow_run_state(run.id, why, force=True)
