"""Cells side by side never state to need more memory than there is, and each has its turn."""

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextvars import copy_context
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fer_tasks.errors import UserError
from flows.engine import own_process
from flows.grid import memory_budget
from flows.grid.memory_budget import machine_memory, reserve

TENTHS = st.integers(1, 120).map(lambda n: n / 10)
HOLD = """
from flows.grid.memory_budget import reserve
with reserve(12, 12, print):
    print("held")
    input()
"""


@pytest.fixture(autouse=True)
def own_claims(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No other test's cells count; nobody waits for longer than has to be."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(memory_budget, "POLL_INTERVAL", 0.001)


def test_this_machine_has_memory_and_a_container_what_it_is_given(tmp_path):
    limit = tmp_path / "memory.max"
    whole = machine_memory([limit])
    assert 0.1 < machine_memory() <= whole < 100_000
    limit.write_text("max\n")
    assert machine_memory([limit]) == whole
    limit.write_text("64000000\n")
    assert machine_memory([limit]) == 0.064


def turns(wanted: Sequence[float], budget: float) -> Iterator[tuple[list[int], list[int]]]:
    """Let all ask in this order, then end one after the other of those who have their memory; yields who has
    it, and who should have it."""
    changed, inside, asked = threading.Condition(), [], []
    ends = [threading.Event() for _ in wanted]

    def tell(i: int, told: list[int]) -> None:
        with changed:
            told.append(i)
            changed.notify_all()

    def cell(i: int) -> None:
        with reserve(wanted[i], budget, lambda text: tell(i, asked)):
            tell(i, inside)
            assert ends[i].wait(10)
            with changed:
                inside.remove(i)

    def should_have_it(waiting: list[int], having: list[int]) -> list[int]:
        while waiting and (not having or sum(wanted[i] for i in [*having, waiting[0]]) <= budget):
            having = [*having, waiting.pop(0)]
        return having

    threads = [threading.Thread(target=cell, args=(i,)) for i in range(len(wanted))]
    for i, thread in enumerate(threads):
        thread.start()
        with changed:
            assert changed.wait_for(lambda i=i: i in asked or i in inside, 10)
    waiting, having = [*range(len(wanted))], []
    while waiting or having:
        having = should_have_it(waiting, having)
        n = len(having)
        with changed:
            assert changed.wait_for(lambda n=n: len(inside) >= n, 10)
            yield [*inside], having
        ends[having[0]].set()
        threads[having[0]].join()
        having = having[1:]


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(TENTHS, min_size=1, max_size=8), TENTHS)
def test_what_runs_at_the_same_time_fits_and_all_have_their_turn(wanted, budget):
    for inside, expected in turns(wanted, budget):
        assert sorted(inside) == expected


def test_who_waits_says_so_and_a_small_one_does_not_pass_a_large_one():
    order, said, inside = [], [], threading.Event()

    def large() -> None:
        def say(text: str) -> None:
            said.append(text)
            inside.set()

        with reserve(11, 12, say):
            order.append("large")

    def small() -> None:
        with reserve(1, 12, said.append):
            order.append("small")

    with reserve(10, 12, said.append):
        first, second = threading.Thread(target=large), threading.Thread(target=small)
        first.start()
        assert inside.wait(10)
        second.start()
        second.join(0.1)
        assert order == [] and said[0] == "waits until 11 GB of memory are free"
    first.join()
    second.join()
    assert sorted(order) == ["large", "small"]


def test_claims_are_kept_where_nobody_else_can_write(tmp_path):
    with reserve(12, 12, pytest.fail):
        (folder,) = {claim.parent for claim in tmp_path.rglob("claim-*")}
    assert tmp_path in folder.parents and folder.stat().st_mode & 0o077 == 0


def open_to_all(folder: Path) -> None:
    folder.chmod(0o777)


def of_another(folder: Path) -> None:
    if os.geteuid():
        pytest.skip("wants to give a folder away")
    os.chown(folder, 65534, 65534)


def a_link(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))
    folder.symlink_to(folder.with_name("elsewhere"))


@pytest.mark.parametrize("changed", [open_to_all, of_another, a_link])
def test_a_folder_of_claims_that_others_could_change_is_refused(tmp_path, changed):
    with reserve(12, 12, pytest.fail):
        (folder,) = {claim.parent for claim in tmp_path.rglob("claim-*")}
    changed(folder)
    with pytest.raises(UserError, match="can be changed by others, or is a link: remove it, or set XDG_RUN"):
        reserve(12, 12, pytest.fail).__enter__()


@pytest.mark.filterwarnings("ignore:XDG_RUNTIME_DIR is not set")
def test_without_a_runtime_folder_a_checked_one_below_the_temporary_folder_serves(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    if Path(f"/run/user/{os.getuid()}").exists():
        pytest.skip("this machine has a runtime folder for this user")
    with reserve(12, 12, pytest.fail):
        assert list(tmp_path.rglob("claim-*"))
    shared = next(tmp_path.iterdir())
    a_link(shared)
    with pytest.raises(UserError, match="set XDG_RUNTIME_DIR to a folder that you own"):
        reserve(12, 12, pytest.fail).__enter__()


def test_a_cell_that_fails_gives_its_memory_back():
    for _ in range(2):
        with pytest.raises(ValueError), reserve(12, 12, lambda text: None):
            raise ValueError


def test_other_processes_count_and_one_that_is_killed_gives_its_memory_back():
    said, inside = [], threading.Event()

    def say(text: str) -> None:
        said.append(text)
        inside.set()

    def wants() -> None:
        with reserve(1, 12, say):
            said.append("has it")

    command = [sys.executable, "-u", "-c", HOLD]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        waiting = threading.Thread(target=wants)
        waiting.start()
        assert inside.wait(10)
        other.kill()
    waiting.join(10)
    assert said == ["waits until 1 GB of memory are free", "has it"]


def test_a_run_that_is_told_to_end_waits_no_longer():
    with pytest.raises(KeyboardInterrupt), own_process.ending_together():
        of_the_run = copy_context()
        raise KeyboardInterrupt
    with reserve(12, 12, lambda text: None), pytest.raises(own_process.WorkerDied, match="told to end"):
        of_the_run.run(reserve(1, 12, lambda text: None).__enter__)
    with reserve(12, 12, pytest.fail):
        pass
