"""Where the tasks of a stage run: on this machine, or on the Dask cluster that DASK_SCHEDULER_ADDRESS names.

Workers read and write the project's files, so they work in its folder, on a disk that all machines share.
SQLite caches of results are the driver's alone.
"""

import ipaddress
import multiprocessing
import os
import platform
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psutil
from prefect import Task
from prefect.context import FlowRunContext
from prefect.futures import PrefectFuture
from prefect.settings import get_current_settings
from prefect.task_runners import TaskRunner

from fer_tasks.errors import UserError
from flows.engine.own_process import WorkerDied
from flows.engine.worker_pool import WORKERS
from flows.server.which_server import is_answering

if TYPE_CHECKING:  # an extra: who sets no scheduler need not have it
    from distributed import Client

SCHEDULER = "DASK_SCHEDULER_ADDRESS"  # Dask's own variable
ANSWERS_WITHIN = 10  # seconds, on a machine that is busy
CODE = ("flows", "fer_tasks")


def scheduler() -> str:
    """The address of the scheduler, "" if there is no cluster."""
    return os.environ.get(SCHEDULER, "").strip()


def check_server_for_cluster() -> None:
    """Raise UserError where the cluster's workers could not reach the Prefect server that a run would use."""
    url = get_current_settings().api.url
    if scheduler() and not _is_loopback(scheduler()) and _is_loopback(url):
        raise UserError(f"{SCHEDULER} is {scheduler()}: {_server_wanted(url)}")


def runner(source: Path) -> TaskRunner:
    """What runs the tasks of a flow on the cluster. `source`: what its workers must see beside the project.

    Raises UserError where Dask is not installed, the scheduler does not answer, or one of its workers could
    not do the work.
    """
    check_server_for_cluster()
    try:
        from distributed import Client
        from prefect_dask import DaskTaskRunner
    except ImportError:
        fix = "`pip install 'monday-fer[dask]'`, or unset it"
        raise UserError(f"{SCHEDULER} is set, but Dask is not installed: {fix}") from None
    try:
        client = Client(scheduler(), timeout=ANSWERS_WITHIN, set_as_default=False)
    except (OSError, ValueError, TypeError):
        fix = "start it, or unset the variable to run here"
        raise UserError(f"no Dask scheduler answers at {scheduler()} ({SCHEDULER}): {fix}") from None
    with client:
        _check_workers(client, source)
    return DaskTaskRunner(address=scheduler())


def _check_workers(client: "Client", source: Path) -> None:
    cache = Path(".cache").resolve()
    cache.mkdir(exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=cache) as mark:
        where = (Path.cwd(), Path(mark.name), source, get_current_settings().api.url, platform.node())
        faults = client.run(_fault, *where, on_error="return")
    if not faults:
        raise UserError(f"the Dask cluster at {scheduler()} has no worker: start one in {Path.cwd()}")
    for worker, fault in faults.items():
        if isinstance(fault, Exception):
            fault = f"cannot load this project ({fault}): start it in {Path.cwd()}, with the project's Python"
        if fault:
            raise UserError(f"the Dask worker {worker} {fault}")


def _fault(project: Path, mark: Path, source: Path, api: str | None, driver: str) -> str:
    """What keeps this worker from working for the driver; "" if nothing does."""
    if Path.cwd() != project or not mark.exists():
        return f"works in {Path.cwd()}: start it in {project}, on a disk that all machines share"
    if not source.exists():
        return f"does not see the source {source}: put it on a disk that all machines share"
    if multiprocessing.current_process().daemon:
        return "may start no processes: set DASK_DISTRIBUTED__WORKER__DAEMON=False where it is started"
    changed = max(file.stat().st_mtime for folder in CODE for file in Path(folder).rglob("*.py"))
    if changed > psutil.Process().create_time():
        return "was started before the project's code changed: start it again"
    if platform.node() != driver and _is_loopback(api):
        return f"is on another machine: {_server_wanted(api)}"
    if api and not is_answering(api):
        return f"does not reach the Prefect server at {api}: open its port to this worker's machine"
    return ""


def _server_wanted(url: str | None) -> str:
    port = get_current_settings().server.api.port
    no_server = f"{url} is no address of a Prefect server" if url else "there is no Prefect server"
    return (
        f"{no_server} that workers elsewhere reach; start one by `PREFECT_SERVER_API_HOST=0.0.0.0 make "
        f"server` and set PREFECT_API_URL=http://{platform.node()}:{port}/api here"
    )


def _is_loopback(address: str | None) -> bool:
    """Whether it leads to this machine only. None: a server that would be started for this run."""
    host = urlsplit(address if "://" in address else f"//{address}").hostname if address else "localhost"
    with suppress(ValueError):
        return ipaddress.ip_address(host or "").is_loopback
    return host == "localhost"


def _client() -> "Client | None":
    """The cluster's, if the flow runs on one: of all task runners only Dask's has a client."""
    return getattr(FlowRunContext.get().task_runner, "client", None)


def slots() -> int:
    """How many tasks of the flow can run at a time, now: machines may come and go."""
    client = _client()
    return max(1, sum(client.nthreads().values())) if client else WORKERS


def call(task: Task, *arguments: Any) -> Any:
    """Call a task that has no shards: on a worker of the cluster, if the flow runs on one, else here."""
    return result_of(task.submit(*arguments)) if _client() else task(*arguments)


def result_of(future: PrefectFuture, raise_on_failure: bool = True) -> Any:
    """A task's result, or what it raised: raised here, too, if that is wanted, else returned.

    A task whose worker dies runs again on another one; the task that has cost several is a WorkerDied.
    Raises UserError where the scheduler is gone.
    """
    try:
        return future.result(raise_on_failure=raise_on_failure)
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "distributed":
            raise
        if type(error).__name__ != "KilledWorker":
            raise UserError(f"the Dask scheduler at {scheduler()} is gone: start it, and run again") from None
        died = WorkerDied(str(error).partition(". ")[0])
        if raise_on_failure:
            raise died from None
        return died
