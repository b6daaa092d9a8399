"""Tasks that ask a server: what passes is tried again, later and later."""

import time
from functools import partial

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task, exponential_backoff

from fer_tasks.network import TryAgain


def _passes(task: Task, run: TaskRun, state: State) -> bool:
    """Only a fault that passes is worth another attempt; where the server said how long, after that long."""
    fault = state.result(raise_on_failure=False)
    if not isinstance(fault, TryAgain):
        return False
    get_run_logger().warning(f"{fault}; trying again")
    time.sleep(fault.after_s or 0)
    return True


network_task = partial(
    task,
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=6,
    retry_delay_seconds=exponential_backoff(backoff_factor=2),
    retry_jitter_factor=0.5,
    retry_condition_fn=_passes,
)
