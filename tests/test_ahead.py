"""A thread that works ahead."""

import threading
import time

import pytest

from apps.predict.ahead import MOST, ahead


def test_items_come_in_order_from_another_thread():
    made = [threading.get_ident()]

    def items():
        made.append(threading.get_ident())
        yield from range(100)

    assert list(ahead(items())) == list(range(100)) and made[0] != made[1]


def test_an_error_comes_after_what_was_made_before():
    def items():
        yield 1
        raise ValueError("bad")

    taken = ahead(items())
    assert next(taken) == 1
    with pytest.raises(ValueError, match="bad"):
        next(taken)


def test_only_a_few_are_made_ahead_and_the_generator_is_closed():
    made, closed = [], []

    def items():
        try:
            for i in range(1000):
                made.append(i)
                yield i
        finally:
            closed.append(threading.get_ident())

    taken = ahead(items())
    assert next(taken) == 0
    time.sleep(0.3)
    assert len(made) <= MOST + 2
    before = threading.active_count()
    taken.close()
    assert closed and threading.active_count() == before - 1
