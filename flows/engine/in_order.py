"""Run tasks as soon as those that they need have ended."""

from collections.abc import Callable, Collection, Iterator, Mapping
from graphlib import TopologicalSorter
from queue import SimpleQueue

from prefect.futures import PrefectFuture


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
