"""Cells side by side never state to need more memory than there is, and each has its turn."""

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.grid.memory import machine_memory, reserve

TENTHS = st.integers(1, 120).map(lambda n: n / 10)


def test_this_machine_has_memory_and_a_container_what_it_is_given(tmp_path):
    limit = tmp_path / "memory.max"
    whole = machine_memory([limit])
    assert 0.1 < machine_memory() <= whole < 100_000
    limit.write_text("max\n")
    assert machine_memory([limit]) == whole
    limit.write_text("64000000\n")
    assert machine_memory([limit]) == 0.064


@settings(max_examples=25, deadline=None)
@given(st.lists(TENTHS, min_size=1, max_size=8), TENTHS)
def test_what_runs_at_the_same_time_fits_and_all_have_their_turn(cells, budget):
    lock, running, most, done = threading.Lock(), [], [0.0], []

    def cell(wanted: float) -> None:
        with reserve(wanted, budget, lambda text: None):
            with lock:
                running.append(wanted)
                most.append(sum(min(other, budget) for other in running))
            with lock:
                running.remove(wanted)
                done.append(wanted)

    threads = [threading.Thread(target=cell, args=(wanted,)) for wanted in cells]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) <= budget + 1e-9 and sorted(done) == sorted(cells)


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


def test_a_cell_that_fails_gives_its_memory_back():
    for _ in range(2):
        with pytest.raises(ValueError), reserve(12, 12, lambda text: None):
            raise ValueError
