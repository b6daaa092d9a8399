"""Map a task over items, a shard at a time: what is known is not computed again, and all is shown on the
way."""

import hashlib
import io
import sys
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import Executor
from functools import partial
from graphlib import TopologicalSorter
from itertools import islice
from pathlib import Path
from queue import SimpleQueue
from typing import Any
from uuid import UUID

from loky import cpu_count, get_reusable_executor
from prefect import Task, get_run_logger, task
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE
from prefect.context import FlowRunContext
from prefect.futures import PrefectFuture
from tqdm import tqdm

from flows.code import code_digest
from flows.result_cache import MISSING, ResultCache

WORKERS = cpu_count()  # the cores that this process may use: its affinity and its container's quota count
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # two on busy cores cost nine times one
AHEAD = 4 * WORKERS  # shards in flight: their results are the memory a stage needs, however many there are
SHARD = 64  # items; a task run costs about 5 ms, and a killed run repeats what was in flight
RESULTS = Path(".cache/results")
# For `map_items`, which remembers what was computed itself.
shard_task = partial(task, cache_policy=NO_CACHE, persist_result=False, retries=2)


def map_items(
    task: Task, items: Mapping[str, Any], remember: bool = True, **same: Any
) -> Iterator[tuple[str, Any]]:
    """Run `task(shard, **same) -> {item: result}` on shards of `items`; yields (item, result) in their order.

    A result is remembered on disk and reused for an equal item and value, equal other arguments, and the same
    code, as far as the task reaches it. So a value must say the content (an id, a hash), not only where it
    lies. Without `remember` all is computed each time: for what is quicker made than kept. Shows the
    progress, and logs how many were computed anew and how many reused.
    """
    stage = FlowRunContext.get().flow.name
    alike = repr(sorted(same.items()))
    keys = {i: hashlib.sha256(f"{alike} {i} {value!r}".encode()).digest() for i, value in items.items()}
    log = get_run_logger()
    with ResultCache(RESULTS / stage / task.name, code_digest(task), log.warning) as known:
        missing = {i: value for i, value in items.items() if not (remember and keys[i] in known)}
        with Progress(f"{stage}-{task.name}".replace("_", "-"), len(items)) as progress:
            progress.update(len(items) - len(missing))

            def computed() -> Iterator[Any]:
                for found in _results(task, missing, same):
                    if remember:
                        known.add({keys[i]: result for i, result in found.items()})
                    progress.update(len(found))
                    yield from found.values()

            fresh = computed()
            for n, i in enumerate(items):
                result = next(fresh) if i in missing else known.get(keys[i])
                if result is MISSING:  # the cache has turned out to be damaged
                    rest = dict(islice(items.items(), n, None))
                    yield from map_items(task, rest, remember=known.is_usable, **same)
                    return
                yield i, result
        known.tidy(keys.values() if remember else ())
    reused = len(items) - len(missing)
    log.info(f"{task.name}: {len(missing)} of {len(items)} computed, {reused} reused")


def _results(task: Task, items: Mapping[str, Any], same: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The results of each shard, in the order of `items`."""
    names = list(items)
    shards = ({i: items[i] for i in names[at : at + SHARD]} for at in range(0, len(names), SHARD))
    flying: deque[tuple[dict[str, Any], PrefectFuture]] = deque()
    while True:
        while len(flying) < AHEAD and (shard := next(shards, None)):
            flying.append((shard, task.submit(shard, **same)))
        if not flying:
            return
        shard, future = flying.popleft()
        found = future.result()
        yield {i: found[i] for i in shard}


def in_order(
    needs: Mapping[str, Collection[str]], begin: Callable[[str], PrefectFuture | None]
) -> Iterator[tuple[str, PrefectFuture]]:
    """Begin every task as soon as those that it needs have ended; yields each name with its ended future.

    `needs`: names by name, without a cycle. What `begin` gives None for has ended already.
    """
    order, running, ended = TopologicalSorter(needs), {}, SimpleQueue()
    order.prepare()
    while order.is_active():
        while ready := order.get_ready():
            for name in ready:
                if future := begin(name):
                    running[future] = name
                    future.add_done_callback(ended.put)
                else:
                    order.done(name)
        if running:
            future = ended.get()
            future.wait()  # it may not know its final state yet
            name = running.pop(future)
            yield name, future
            order.done(name)


def in_process(function: Callable, *arguments: Any) -> Any:
    """Call a function of fer_tasks in one of this machine's worker processes, as many as it has cores.

    Loky's start without the main module: a worker holds what the function needs, and no Prefect.
    """
    return _processes().submit(function, *arguments).result()


def in_processes(function: Callable, *arguments: Iterable) -> list[Any]:
    """`map` in this machine's worker processes."""
    return list(_processes().map(function, *arguments))


def _processes() -> Executor:
    return get_reusable_executor(max_workers=WORKERS, timeout=60, env=ONE_THREAD)


class Progress(tqdm):
    """A tqdm bar that the Prefect UI shows too, as progress artifact `key` (lower case, digits, dashes)."""

    def __init__(self, key: str, total: int | None = None, unit: str = "it"):
        shown = None if sys.stderr.isatty() else io.StringIO()  # a bar that moves is litter in a log file
        scaled = {"unit": unit, "unit_scale": unit == "B", "unit_divisor": 1024}
        super().__init__(total=total, desc=key, leave=False, mininterval=0.5, file=shown, **scaled)
        self._artifact: UUID = create_progress_artifact(0.0, key=key, description="begins")

    def __exit__(self, *raised: Any) -> None:
        if self.total is None and raised[0] is None:  # all there was
            self.reach(self.n, self.n)
        super().__exit__(*raised)

    def update(self, n: float = 1) -> bool | None:
        shown = super().update(n)
        if shown or self.n == self.total:
            done, whole = (f"{amount or 0:,.0f}" for amount in (self.n, self.total))
            text = f"{done} of {whole if self.total else '?'}{' bytes' if self.unit == 'B' else ''}"
            text += f", {self.postfix}" if self.postfix else ""
            percent = min(100.0, 100.0 * self.n / self.total) if self.total else 0.0
            update_progress_artifact(self._artifact, percent, description=text)
        return shown

    def reach(self, n: int, total: int) -> None:
        """Be at `n` of `total`, 0 where nobody knows."""
        self.total = total or None
        self.update(n - self.n)
