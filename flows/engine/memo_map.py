"""Map a task over items in shards, with cached results and a progress bar."""

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

from flows.engine import cluster
from flows.engine.code import code_digest
from flows.engine.progress import Progress
from flows.engine.result_cache import MISSING, ResultCache
from flows.engine.worker_pool import prepare_workers

AHEAD = 4  # shards in flight a worker: the results of these, not of all items, must fit into memory
SHARD = 64  # items; a task run costs about 5 ms, and a killed run repeats the shards in flight
RESULTS = Path(".cache/results")
# The task of a `map_items`, which caches its results itself.
shard_task = partial(task, cache_policy=NO_CACHE, persist_result=False, retries=2)


def map_items(
    mapped: Task, items: Mapping[str, Any], remember: bool = True, **arguments: Any
) -> Iterator[tuple[str, Any]]:
    """Run `mapped(shard, **arguments) -> {item: result}` on shards of `items`; yield (item, result) in order.

    A result is cached on disk and reused for an equal item and value, equal arguments and the same code, as
    far as the task reaches it. So a value must identify the content (an id, a hash), not only its path.
    `remember=False` caches nothing: for results that are faster to compute than to store. Shows the progress,
    and logs how many results were computed and how many reused. Nothing runs before the first item is asked
    for.
    """
    stage = FlowRunContext.get().flow.name
    same = repr(sorted(arguments.items()))
    keys = {i: hashlib.sha256(f"{same} {i} {value!r}".encode()).digest() for i, value in items.items()}
    log = get_run_logger()
    with ResultCache(RESULTS / stage / mapped.name, code_digest(mapped), log.warning) as cache:
        missing = {i: value for i, value in items.items() if not (remember and keys[i] in cache)}
        with Progress(f"{stage}-{mapped.name}".replace("_", "-"), len(items)) as progress:
            progress.update(len(items) - len(missing))

            def compute() -> Iterator[Any]:
                for results in _shard_results(mapped, missing, arguments):
                    if remember:
                        cache.add({keys[i]: result for i, result in results.items()})
                    progress.update(len(results))
                    yield from results.values()

            computed = compute()
            for n, i in enumerate(items):
                result = next(computed) if i in missing else cache.get(keys[i])
                if result is MISSING:  # the cache has turned out to be damaged
                    rest = dict(islice(items.items(), n, None))
                    yield from map_items(mapped, rest, remember=cache.is_usable, **arguments)
                    return
                yield i, result
        cache.tidy(keys.values() if remember else ())
    reused = len(items) - len(missing)
    log.info(f"{mapped.name}: {len(missing)} of {len(items)} computed, {reused} reused")


def _shard_results(
    mapped: Task, items: Mapping[str, Any], arguments: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """The results of each shard, in the order of `items`."""
    names = list(items)
    prepare_workers(-(-len(names) // SHARD))
    shards = ({i: items[i] for i in names[at : at + SHARD]} for at in range(0, len(names), SHARD))
    in_flight: deque[tuple[dict[str, Any], PrefectFuture]] = deque()
    while True:
        while len(in_flight) < AHEAD * cluster.slots() and (shard := next(shards, None)):
            in_flight.append((shard, mapped.submit(shard, **arguments)))
        if not in_flight:
            return
        shard, future = in_flight.popleft()
        results = cluster.result_of(future)
        yield {i: results[i] for i in shard}
