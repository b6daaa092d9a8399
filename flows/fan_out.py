"""Map a task over shards, and show how far it is: a bar in the terminal, a progress artifact in the UI."""

import io
import os
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

from prefect import Task, get_run_logger
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.context import FlowRunContext
from prefect.futures import PrefectFuture
from tqdm import tqdm

WORKERS = os.cpu_count() or 1
AHEAD = 4 * WORKERS  # shards in flight: their results are the memory a stage needs, however many there are


def map_shards(task: Task, shards: Mapping[str, Any], **same: Any) -> Iterator[tuple[str, Any]]:
    """Run `task(name, shard, **same)` for every shard; yields (name, result) in the order of `shards`.

    Shows the progress and logs how many items were computed anew, and how many came from the cache.
    """
    stage = FlowRunContext.get().flow.name
    total = sum(map(len, shards.values()))
    flying: deque[tuple[str, PrefectFuture]] = deque()
    waiting = iter(shards.items())
    reused = 0
    with Progress(f"{stage}-{task.name}".replace("_", "-"), total) as progress:
        while True:
            while len(flying) < AHEAD and (following := next(waiting, None)):
                name, shard = following
                flying.append((name, task.submit(name, shard, **same)))
            if not flying:
                break
            name, future = flying.popleft()
            yield name, future.result()
            progress.update(len(shards[name]))
            reused += len(shards[name]) * (future.state.name == "Cached")
    get_run_logger().info(f"{task.name}: {total - reused} of {total} computed, {reused} reused")


class Progress(tqdm):
    """A tqdm bar that the Prefect UI shows too, as progress artifact `key` (lower case, digits, dashes)."""

    def __init__(self, key: str, total: int):
        shown = None if sys.stderr.isatty() else io.StringIO()  # a bar that moves is litter in a log file
        super().__init__(total=total, desc=key, leave=False, mininterval=0.5, file=shown)
        self._artifact: UUID = create_progress_artifact(0.0, key=key, description=f"0 of {total}")

    def update(self, n: float = 1) -> bool | None:
        shown = super().update(n)
        text = f"{self.n:g} of {self.total}"
        update_progress_artifact(self._artifact, 100.0 * self.n / max(self.total, 1), description=text)
        return shown
