"""A memory budget for cells trained side by side: each waits until the memory that it states is free."""

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
# A container's limit, in version 2 and version 1 of Linux control groups.
LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
POLL_INTERVAL = 0.1  # s
warnings.filterwarnings(
    "ignore", "XDG_RUNTIME_DIR is not set"
)  # in containers and cron jobs; the fallback is fine
OWN_FOLDER = "set XDG_RUNTIME_DIR to a folder that you own, of mode 700"


def machine_memory(limits: Sequence[Path] = LIMITS) -> float:
    """The memory of this machine, or of the container that this process runs in, in GB."""
    contents = [file.read_text().strip() for file in limits if file.exists()]
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([physical, *(int(limit) for limit in contents if limit.isdecimal())]) / GB


@contextmanager
def reserve(needed: float, budget: float, log: Callable[[str], None]) -> Iterator[None]:
    """Reserve `needed` GB while the block runs, of a `budget` that all processes of this user on this machine
    share.

    First come, first served, so a large cell cannot starve. A cell that needs more than the whole budget runs
    alone. Logs a line if it has to wait.

    Raises:
        WorkerDied: the run was told to end while waiting.
        UserError: there is no folder for the claims that only this user can write.
    """
    claim = _claims() / f"claim-{time.time_ns()}-{uuid4().hex}-{needed:g}"
    lock = FileLock(claim)  # held until this process ends, however it ends
    with _one_at_a_time():
        lock.acquire()
    try:
        if not _grant(claim, needed, budget):
            log(f"waits until {needed:g} GB of memory are free")
            while not _grant(claim, needed, budget):
                check_not_told_to_end()
                time.sleep(POLL_INTERVAL)
        yield
    finally:
        with _one_at_a_time():
            lock.release()
            _remove(claim)


def _grant(claim: Path, needed: float, budget: float) -> bool:
    """Grant a claim if it is the oldest that waits and its memory is free; returns whether it was granted."""
    with _one_at_a_time():
        claims = sorted(file for file in _claims().glob("claim-*") if _is_alive(file))
        granted = [file for file in claims if _granted_mark(file).exists()]
        waiting = [file for file in claims if file not in granted]
        in_use = sum(map(_gigabytes, granted))
        if claim != waiting[0] or (granted and in_use + needed > budget):
            return False
        _granted_mark(claim).touch()
        return True


def _gigabytes(claim: Path) -> float:
    return float(claim.name.split("-", 3)[3])


def _is_alive(claim: Path) -> bool:
    """Whether the process of a claim still holds its lock; a dead claim is removed."""
    try:
        with FileLock(claim, timeout=0):
            _remove(claim)
            return False
    except Timeout:
        return True


def _remove(claim: Path) -> None:
    claim.unlink(missing_ok=True)
    _granted_mark(claim).unlink(missing_ok=True)


def _granted_mark(claim: Path) -> Path:
    """The file that marks a claim as granted."""
    return claim.with_name(claim.name.replace("claim", "held", 1))


def _claims() -> Path:
    """The folder of this user's claims to the memory of this machine: claim-<time>-<random id>-<GB>.

    Raises:
        UserError: someone else could write there, and so stop every run.
    """
    try:
        folder = user_runtime_path("monday-fer", ensure_exists=True) / "memory"
        folder.mkdir(mode=0o700, exist_ok=True)
        is_own = _is_own(folder.parent) and _is_own(folder)
    except OSError as error:
        raise UserError(f"no folder for the memory claims of cells: {error}; {OWN_FOLDER}") from None
    if not is_own:
        raise UserError(f"{folder} can be changed by others, or is a link: remove it, or {OWN_FOLDER}")
    return folder


def _is_own(folder: Path) -> bool:
    """Whether it is a folder (no link) that this user owns and nobody else can write to."""
    status = folder.lstat()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o022


def _one_at_a_time() -> FileLock:
    return FileLock(_claims() / "lock")
