"""Map a task over items, a shard at a time: what is known is not computed again, and all is shown on the
way."""

import hashlib
from collections import deque
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from prefect import Task, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.context import FlowRunContext
from prefect.futures import PrefectFuture

from flows.engine.code import code_digest
from flows.engine.progress import Progress
from flows.engine.result_cache import MISSING, ResultCache
from flows.engine.worker_pool import WORKERS

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
