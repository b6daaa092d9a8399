"""Cells side by side in the memory that there is: each waits until what it states to need is free."""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

GB = 1e9
# A container's limit, by the second and the first version of Linux' control groups.
LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
_changed = threading.Condition()
_waiting: deque[object] = deque()  # who asked first gets it first, so that the largest is not passed over
_taken: list[float] = []  # GB, of the cells of this process


def machine_memory(limits: Sequence[Path] = LIMITS) -> float:
    """The memory of this machine, or of the container that this is, GB."""
    said = [file.read_text().strip() for file in limits if file.exists()]
    own = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([own, *(int(limit) for limit in said if limit.isdecimal())]) / GB


@contextmanager
def reserve(wanted: float, budget: float, say: Callable[[str], None]) -> Iterator[None]:
    """Hold `wanted` GB of the `budget` that all threads share while the block runs.

    Says so where that has to be waited for. Who states more than there is runs alone.
    """
    needs, me = min(wanted, budget), object()

    def is_next() -> bool:
        return _waiting[0] is me and sum(_taken) + needs <= budget

    with _changed:
        _waiting.append(me)
        try:
            if not is_next():
                say(f"waits until {wanted:g} GB of memory are free")
            _changed.wait_for(is_next)
        finally:
            _waiting.remove(me)
            _changed.notify_all()
        _taken.append(needs)
    try:
        yield
    finally:
        with _changed:
            _taken.remove(needs)
            _changed.notify_all()
