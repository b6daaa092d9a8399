"""Run a graph of tasks, each as soon as the tasks that it needs have ended."""

from collections.abc import Callable, Collection, Iterator, Mapping
from graphlib import TopologicalSorter
from queue import SimpleQueue

from prefect.futures import PrefectFuture


def in_order(
    needs: Mapping[str, Collection[str]], begin: Callable[[str], PrefectFuture | None]
) -> Iterator[tuple[str, PrefectFuture]]:
    """Begin every task as soon as the tasks that it needs have ended; yield each name with its ended future.

    `needs`: {name: names that it needs}, without a cycle. `begin` returns None for a name that needs no work.
    """
    graph, running, ended = TopologicalSorter(needs), {}, SimpleQueue()
    graph.prepare()
    while graph.is_active():
        while ready := graph.get_ready():
            for name in ready:
                if future := begin(name):
                    running[future] = name
                    future.add_done_callback(ended.put)
                else:
                    graph.done(name)
        if running:
            future = ended.get()
            future.wait()  # its final state may not be known yet
            name = running.pop(future)
            yield name, future
            graph.done(name)
