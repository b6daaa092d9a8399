"""A pool of worker processes on this machine."""

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from loky import cpu_count, get_reusable_executor

WORKERS = cpu_count()  # cores that this process may use, by its affinity and its container's quota
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # two on busy cores cost nine times one
_prepared = 1  # processes that the pool has, or will have
_owner = ThreadPoolExecutor(1)  # loky has a pool for each thread that asks: only this one does


def prepare_workers(calls: int) -> None:
    """Have a process for each of so many calls, at most one a core: starting one takes a second or two."""
    global _prepared
    _prepared = max(_prepared, min(WORKERS, calls))


def call_in_worker(function: Callable, *arguments: Any) -> Any:
    """Call a function of fer_tasks in a worker process, of which there are as many as were prepared.

    Loky starts workers without the main module: they import what the function needs, and no Prefect.
    """
    return _submit(function, *arguments).result()


def map_in_workers(function: Callable, *arguments: Iterable) -> list[Any]:
    """Like `map`, in the worker processes."""
    calls = list(zip(*arguments, strict=True))
    prepare_workers(len(calls))
    return [future.result() for future in [_submit(function, *call) for call in calls]]


def _submit(function: Callable, *arguments: Any) -> Future:
    def submit() -> Future:
        return get_reusable_executor(_prepared, timeout=60, env=ONE_THREAD).submit(function, *arguments)

    return _owner.submit(submit).result()
