"""Tasks that call a server: temporary failures are tried again, with growing delays."""

import time
from functools import partial

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task, exponential_backoff

from fer_tasks.network import TryAgain


def _is_temporary(task: Task, run: TaskRun, state: State) -> bool:
    """Retry only temporary failures; if the server said how long to wait, wait that long."""
    failure = state.result(raise_on_failure=False)
    if not isinstance(failure, TryAgain):
        return False
    get_run_logger().warning(f"{failure}; trying again")
    time.sleep(failure.after_s or 0)
    return True


network_task = partial(
    task,
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=6,
    retry_delay_seconds=exponential_backoff(backoff_factor=2),
    retry_jitter_factor=0.5,
    retry_condition_fn=_is_temporary,
)
