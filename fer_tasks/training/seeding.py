"""Seed a model regardless of what other threads draw."""

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import keras
from keras.src.random import seed_generator


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Build a model in this block and its first weights and dropout seeds depend on `seed` alone.

    Keras draws them from Python's global `random`, which every thread of the process shares: websockets,
    which Prefect uses for its events, draws from it for each ping.
    """
    keras.utils.set_random_seed(seed)
    shared = seed_generator.python_random
    seed_generator.python_random = Random(seed)
    try:
        yield
    finally:
        seed_generator.python_random = shared
