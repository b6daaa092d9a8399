"""Do work on all cores, and give its results in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import joblib

Given, Result = TypeVar("Given"), TypeVar("Result")
THREADS = min(4, joblib.cpu_count())  # each has networks of its own, of some 40 MB


def on_all_cores(work: Callable[[Given], Result], given: Iterable[Given]) -> Iterator[Result]:
    """`map` by threads, one a core, which are at most a few items ahead of what has been taken."""
    waiting: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(THREADS)
    try:
        for item in given:
            waiting.append(pool.submit(work, item))
            if len(waiting) > 2 * THREADS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
