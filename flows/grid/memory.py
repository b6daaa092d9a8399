"""Cells side by side in the memory that there is: each waits until what it states to need is free."""

import json
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import psutil
from filelock import FileLock
from platformdirs import user_cache_path

from fer_tasks.dataset import write_text

GB = 1e9
# A container's limit, by the second and the first version of Linux' control groups.
LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
ASKS_EVERY = 0.1  # s
CLOCK_MOVES = 60  # s at most, between two looks at when a process began


class _Claim(NamedTuple):
    """Memory that a cell waits for or holds."""

    name: str
    process: int
    since: float  # when that process began: its number may be another's by now
    size: float  # GB
    held: bool


def machine_memory(limits: Sequence[Path] = LIMITS) -> float:
    """The memory of this machine, or of the container that this is, GB."""
    said = [file.read_text().strip() for file in limits if file.exists()]
    own = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([own, *(int(limit) for limit in said if limit.isdecimal())]) / GB


@contextmanager
def reserve(wanted: float, budget: float, say: Callable[[str], None]) -> Iterator[None]:
    """Hold `wanted` GB of the `budget` that all processes of this user on this machine share while the block
    runs.

    Says so where that has to be waited for. Who asked first gets it first, so that the largest is not passed
    over; who states more than there is runs alone.
    """
    process = psutil.Process()
    mine = _Claim(uuid4().hex, process.pid, process.create_time(), min(wanted, budget), held=False)
    with _claims() as claims:
        claims.append(mine)
    try:
        if not _is_held(mine, budget):
            say(f"waits until {wanted:g} GB of memory are free")
            while not _is_held(mine, budget):
                time.sleep(ASKS_EVERY)
        yield
    finally:
        with _claims() as claims:
            claims[:] = [claim for claim in claims if claim.name != mine.name]


def _is_held(mine: _Claim, budget: float) -> bool:
    """Take the memory if nobody waits for longer and it is free."""
    with _claims() as claims:
        first = next(i for i, claim in enumerate(claims) if not claim.held)
        taken = sum(claim.size for claim in claims if claim.held)
        if claims[first].name != mine.name or taken + mine.size > budget:
            return False
        claims[first] = mine._replace(held=True)
        return True


@contextmanager
def _claims() -> Iterator[list[_Claim]]:
    """All claims of processes that are alive, the oldest first, to be changed by nobody else meanwhile."""
    file = user_cache_path("monday-fer", ensure_exists=True) / f"memory-{platform.node()}.json"
    with FileLock(file.with_suffix(".lock")):
        found = [_Claim(*claim) for claim in json.loads(file.read_text())] if file.exists() else []
        claims = [claim for claim in found if _is_alive(claim)]
        yield claims
        if claims != found:
            write_text(file, json.dumps(claims))


def _is_alive(claim: _Claim) -> bool:
    try:
        return abs(psutil.Process(claim.process).create_time() - claim.since) < CLOCK_MOVES
    except psutil.NoSuchProcess:
        return False
