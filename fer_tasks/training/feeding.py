"""Batches for training with tf.data: gathered, shuffled and augmented while the previous step runs."""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pandas as pd
import tensorflow as tf

from fer_tasks.training.augmentation import UNCHANGED, Augmentation, augment

AHEAD = 4  # prefetched batches
Batch = tuple[np.ndarray, np.ndarray]


class Rows:
    """Selected rows of an array, gathered on access, so that little of a memory-mapped array is read."""

    def __init__(self, array: np.ndarray, rows: np.ndarray):
        self.array, self.rows = array, rows
        self.shape, self.dtype = (len(rows), *array.shape[1:]), array.dtype

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, chosen: np.ndarray) -> np.ndarray:
        return self.array[self.rows[chosen]]


def choose_rows(y: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Rows of at most `n` pictures, in order, with the classes in their original shares; `y`: (rows,) int."""
    order = np.random.default_rng(seed).permutation(len(y))
    of_class = pd.Series(order).groupby(y[order])
    place = (of_class.cumcount() + 0.5) / of_class.transform("size")
    return np.sort(order[np.argsort(place.to_numpy(), kind="stable")[:n]])


class PartedArray:
    """One field of many structured arrays, as one array of `n` rows: (n, ...).

    `part(i)` returns the i-th array, of `size` rows, the last of fewer; it is called on access.
    """

    def __init__(self, part: Callable[[int], np.ndarray], size: int, n: int, field: str):
        self.part, self.size, self.field = part, size, field
        first = part(0)[field]
        self.shape, self.dtype = (n, *first.shape[1:]), first.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, chosen: np.ndarray) -> np.ndarray:
        rows = np.empty((len(chosen), *self.shape[1:]), self.dtype)
        parts, places = np.divmod(chosen, self.size)
        for i in np.unique(parts):
            rows[parts == i] = self.part(int(i))[self.field][places[parts == i]]
        return rows


class Pictures(NamedTuple):
    """Inputs and labels for training or validation: pictures, or features in their place."""

    x: np.ndarray | Rows | PartedArray  # (n, M, N, C); features (n, ...)
    y: np.ndarray | PartedArray  # (n, classes) float32, one-hot, mixed, or with a teacher's predictions
    batch_size: int

    @property
    def steps(self) -> int:
        """Batches per epoch; the last may be smaller."""
        return -(-len(self.x) // self.batch_size)


def training_batches(pictures: Pictures, chosen: Augmentation, seed: int, epoch: int) -> tf.data.Dataset:
    """Endless batches from the beginning of `epoch` (from 0).

    A batch depends only on the seed and its number: every epoch has its own order and augmentations, and
    resumed training sees the same batches as uninterrupted training.
    """
    return endless(training_batch(pictures, chosen, seed), pictures, epoch)


def training_batch(pictures: Pictures, chosen: Augmentation, seed: int) -> Callable[[int], Batch]:
    """Return a function that makes training batches by their numbers, which count over all epochs."""

    @lru_cache(maxsize=2)  # batches of two epochs may be made at the same time
    def order(epoch: int) -> np.ndarray:
        return shuffled(len(pictures.x), seed, epoch)

    def batch(number: int) -> Batch:
        epoch, step = divmod(number, pictures.steps)
        x, y = _gather(pictures, order(epoch), step)
        if chosen == UNCHANGED:
            return x, y
        return augment(x, y, chosen, np.random.default_rng([seed, epoch, step]))

    return batch


def shuffled(n: int, seed: int, epoch: int) -> np.ndarray:
    """The order of an epoch, (n,) int."""
    return np.random.default_rng([seed, epoch]).permutation(n)


def endless(batch: Callable[[int], Batch], pictures: Pictures, epoch: int) -> tf.data.Dataset:
    """The numbered batches from `epoch` on, with the shapes and types of `pictures`."""
    return _dataset(tf.data.Dataset.counter(epoch * pictures.steps), batch, pictures)


def stored_batch(pictures: Pictures) -> Callable[[int], Batch]:
    """Return a function that makes batches by their numbers: every picture once, in order, unchanged."""
    order = np.arange(len(pictures.x))
    return lambda step: _gather(pictures, order, step)


def validation_batches(pictures: Pictures) -> tf.data.Dataset:
    """Every picture once, in order, unchanged."""
    return _dataset(tf.data.Dataset.range(pictures.steps), stored_batch(pictures), pictures)


def _gather(pictures: Pictures, order: np.ndarray, step: int) -> Batch:
    rows = order[step * pictures.batch_size : (step + 1) * pictures.batch_size]
    return pictures.x[rows], pictures.y[rows]


def _dataset(numbers: tf.data.Dataset, batch: Callable[[int], Batch], pictures: Pictures) -> tf.data.Dataset:
    def load(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        x, y = tf.numpy_function(batch, [number], [pictures.x.dtype, pictures.y.dtype])
        x.set_shape((None, *pictures.x.shape[1:]))
        y.set_shape((None, *pictures.y.shape[1:]))
        return tf.cast(x, tf.float32), y

    threads = tf.config.threading.get_intra_op_parallelism_threads() or 2
    return numbers.map(load, num_parallel_calls=threads, deterministic=True).prefetch(AHEAD)
