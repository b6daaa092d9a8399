"""Cells side by side in the memory that there is: each waits until what it states to need is free."""

import os
import stat
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from filelock import FileLock, Timeout
from platformdirs import user_runtime_path

from fer_tasks.errors import UserError
from flows.engine.own_process import check_not_told_to_end

GB = 1e9
# A container's limit, by the second and the first version of Linux' control groups.
LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
ASKS_EVERY = 0.1  # s
warnings.filterwarnings("ignore", "XDG_RUNTIME_DIR is not set")  # a container or cron: the fallback does
OWN_FOLDER = "set XDG_RUNTIME_DIR to a folder that you own, of mode 700"


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
    over; who states more than there is runs alone. Raises WorkerDied where the run is told to end meanwhile.
    """
    claim = _claims() / f"claim-{time.time_ns()}-{uuid4().hex}-{wanted:g}"
    locked = FileLock(claim)  # until this process ends, in whatever way
    with _one_at_a_time():
        locked.acquire()
    try:
        if not _take(claim, wanted, budget):
            say(f"waits until {wanted:g} GB of memory are free")
            while not _take(claim, wanted, budget):
                check_not_told_to_end()
                time.sleep(ASKS_EVERY)
        yield
    finally:
        with _one_at_a_time():
            locked.release()
            _forget(claim)


def _take(claim: Path, wanted: float, budget: float) -> bool:
    """Take the memory if nobody waits for longer and it is free; is it taken?"""
    with _one_at_a_time():
        claims = sorted(file for file in _claims().glob("claim-*") if _is_alive(file))
        held = [float(file.name.split("-", 3)[3]) for file in claims if _mark(file).exists()]
        first = next(file for file in claims if not _mark(file).exists())
        if first != claim or (held and sum(held) + wanted > budget):
            return False
        _mark(claim).touch()
        return True


def _is_alive(claim: Path) -> bool:
    """Does its process still hold it? If not, it is forgotten."""
    try:
        with FileLock(claim, timeout=0):
            _forget(claim)
            return False
    except Timeout:
        return True


def _forget(claim: Path) -> None:
    claim.unlink(missing_ok=True)
    _mark(claim).unlink(missing_ok=True)


def _mark(claim: Path) -> Path:
    """The file that says that the memory is held and no longer waited for."""
    return claim.with_name(claim.name.replace("claim", "held", 1))


def _claims() -> Path:
    """The folder of this user's claims to this machine's memory, a file each: when, a name, GB.

    Raises UserError where it could be anyone else's: whoever writes there can stop every run.
    """
    try:
        folder = user_runtime_path("monday-fer", ensure_exists=True) / "memory"
        folder.mkdir(mode=0o700, exist_ok=True)
        is_own = _is_own(folder.parent) and _is_own(folder)
    except OSError as error:
        raise UserError(f"no folder for what cells claim of the memory: {error}; {OWN_FOLDER}") from None
    if not is_own:
        raise UserError(f"{folder} can be changed by others, or is a link: remove it; or {OWN_FOLDER}")
    return folder


def _is_own(folder: Path) -> bool:
    """Is it a folder, not a link to one, of this user, in which nobody else can write?"""
    about = folder.lstat()
    return stat.S_ISDIR(about.st_mode) and about.st_uid == os.getuid() and not about.st_mode & 0o022


def _one_at_a_time() -> FileLock:
    return FileLock(_claims() / "lock")
