"""Batches: every picture once an epoch, in an order that the seed and the epoch give."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_tasks.storage.files import read_array, write_array
from fer_tasks.training.augmentation import SETS
from fer_tasks.training.feeding import Pictures, Rows, choose_rows, training_batches, validation_batches

X = np.arange(10 * 4 * 4, dtype=np.uint8).reshape(10, 4, 4, 1)
Y = np.eye(10, dtype=np.float32)
PICTURES = Pictures(X, Y, 4)


def epochs(seed: int, first: int, n: int, name: str = "none") -> list[tuple[np.ndarray, np.ndarray]]:
    batches = training_batches(PICTURES, SETS[name], seed, first).take(n * PICTURES.steps)
    parts = [(x.numpy(), y.numpy()) for x, y in batches]
    return [tuple(map(np.concatenate, zip(*parts[i : i + 3], strict=True))) for i in range(0, 3 * n, 3)]


def test_every_epoch_has_every_picture_once_in_an_order_of_its_own():
    orders = [y.argmax(axis=1).tolist() for _, y in epochs(1, 0, 3)]
    assert all(sorted(order) == list(range(10)) for order in orders)
    assert len(set(map(tuple, orders))) == 3
    for x, y in epochs(1, 0, 1):
        assert np.array_equal(x, X[y.argmax(axis=1)])


@pytest.mark.parametrize("name", SETS)
def test_what_an_epoch_sees_depends_on_the_seed_and_the_epoch_alone(name):
    whole, later, other = epochs(1, 0, 3, name), epochs(1, 2, 1, name), epochs(2, 2, 1, name)
    assert all(np.array_equal(one, two) for one, two in zip(whole[2], later[0], strict=True))
    assert not np.array_equal(later[0][1], other[0][1])


def test_validation_has_every_picture_as_it_is_in_order():
    parts = [(x.numpy(), y.numpy()) for x, y in validation_batches(PICTURES)]
    x, y = map(np.concatenate, zip(*parts, strict=True))
    assert [len(part) for part, _ in parts] == [4, 4, 2]
    assert np.array_equal(x, X.astype(np.float32)) and np.array_equal(y, Y)


def test_rows_of_a_file_are_read_when_they_are_asked_for(tmp_path):
    write_array(tmp_path / "X.npy", 10, [X])
    array = read_array(tmp_path / "X.npy")
    rows = Rows(array, np.array([7, 2, 5]))
    assert (rows.shape, rows.dtype, len(rows)) == ((3, 4, 4, 1), np.uint8, 3)
    assert rows.array is array and np.array_equal(rows[np.array([2, 0])], X[[5, 7]])


@given(st.lists(st.integers(0, 6), min_size=1, max_size=200), st.integers(1, 250), st.integers(0, 9))
def test_fewer_pictures_keep_the_share_of_each_class(labels, n, seed):
    y = np.array(labels)
    rows = choose_rows(y, n, seed)
    assert len(set(rows)) == len(rows) == min(n, len(y)) and rows.tolist() == sorted(rows)
    expected = np.bincount(y) * len(rows) / len(y)
    assert np.abs(np.bincount(y[rows], minlength=len(expected)) - expected).max() <= 1.5
    assert np.array_equal(rows, choose_rows(y, n, seed))
