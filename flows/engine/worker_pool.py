"""A pool of worker processes on this machine."""

from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from typing import Any

from loky import cpu_count, get_reusable_executor

WORKERS = cpu_count()  # cores that this process may use, by its affinity and its container's quota
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # two on busy cores cost nine times one


def call_in_worker(function: Callable, *arguments: Any) -> Any:
    """Call a function of fer_tasks in a worker process; there are as many as cores.

    Loky starts workers without the main module: they import what the function needs, and no Prefect.
    """
    return _pool().submit(function, *arguments).result()


def map_in_workers(function: Callable, *arguments: Iterable) -> list[Any]:
    """Like `map`, in the worker processes."""
    return list(_pool().map(function, *arguments))


def _pool() -> Executor:
    return get_reusable_executor(max_workers=WORKERS, timeout=60, env=ONE_THREAD)
