"""Batches for training, by tf.data: gathered, shuffled and augmented while the step before is running."""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pandas as pd
import tensorflow as tf

from fer_tasks.training.augmentation import Augmentation, augment

AHEAD = 4  # batches made before they are asked for
Batch = tuple[np.ndarray, np.ndarray]


class Rows:
    """Some rows of an array, gathered when asked for: of a memory-mapped array nothing else is read."""

    def __init__(self, array: np.ndarray, rows: np.ndarray):
        self.array, self.rows = array, rows
        self.shape, self.dtype = (len(rows), *array.shape[1:]), array.dtype

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, chosen: np.ndarray) -> np.ndarray:
        return self.array[self.rows[chosen]]


def choose_rows(y: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Rows of at most `n` pictures in order, of each class the share that it has; `y`: (rows,) int."""
    order = np.random.default_rng(seed).permutation(len(y))
    of_class = pd.Series(order).groupby(y[order])
    place = (of_class.cumcount() + 0.5) / of_class.transform("size")
    return np.sort(order[np.argsort(place.to_numpy(), kind="stable")[:n]])


class PartedArray:
    """A field of structured arrays of `size` rows each, the last of fewer, as if they were one array of `n`
    rows: (n, ...). `part(i)` gives the i-th when it is asked for."""

    def __init__(self, part: Callable[[int], np.ndarray], size: int, n: int, field: str):
        self.part, self.size, self.field = part, size, field
        first = part(0)[field]
        self.shape, self.dtype = (n, *first.shape[1:]), first.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, chosen: np.ndarray) -> np.ndarray:
        found = np.empty((len(chosen), *self.shape[1:]), self.dtype)
        parts, rows = np.divmod(chosen, self.size)
        for i in np.unique(parts):
            found[parts == i] = self.part(int(i))[self.field][rows[parts == i]]
        return found


class Pictures(NamedTuple):
    """What a model learns from, or is validated on: pictures, or the features that stand for them."""

    x: np.ndarray | Rows | PartedArray  # (n, M, N, C), of features (n, ...)
    y: np.ndarray | PartedArray  # (n, classes) float32, one-hot, mixed, or with a teacher's answers
    batch_size: int

    @property
    def steps(self) -> int:
        """Batches an epoch; the last may be smaller."""
        return -(-len(self.x) // self.batch_size)


def training_batches(pictures: Pictures, chosen: Augmentation, seed: int, epoch: int) -> tf.data.Dataset:
    """Batches without an end, from the beginning of `epoch` (from 0) on.

    A batch depends on the seed and its number alone: every epoch has an order and augmentations of its own,
    and training that goes on from some epoch sees what it would have seen.
    """
    return endless(training_batch(pictures, chosen, seed), pictures, epoch)


def training_batch(pictures: Pictures, chosen: Augmentation, seed: int) -> Callable[[int], Batch]:
    """Makes the batches of training by their numbers, which count on over the epochs."""

    @lru_cache(maxsize=2)  # batches of two epochs are made at the same time
    def order(epoch: int) -> np.ndarray:
        return shuffled(len(pictures.x), seed, epoch)

    def batch(number: int) -> Batch:
        epoch, step = divmod(number, pictures.steps)
        x, y = _gather(pictures, order(epoch), step)
        if not any(chosen):
            return x, y
        return augment(x, y, chosen, np.random.default_rng([seed, epoch, step]))

    return batch


def shuffled(n: int, seed: int, epoch: int) -> np.ndarray:
    """The order of an epoch, (n,) int."""
    return np.random.default_rng([seed, epoch]).permutation(n)


def endless(batch: Callable[[int], Batch], pictures: Pictures, epoch: int) -> tf.data.Dataset:
    """The batches by their numbers from `epoch` on; their shapes and types are those of `pictures`."""
    return _dataset(tf.data.Dataset.counter(epoch * pictures.steps), batch, pictures)


def stored_batch(pictures: Pictures) -> Callable[[int], Batch]:
    """Makes batches by their numbers: every picture once, in order, as it is."""
    order = np.arange(len(pictures.x))
    return lambda step: _gather(pictures, order, step)


def validation_batches(pictures: Pictures) -> tf.data.Dataset:
    """Every picture once, in order, as it is."""
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
