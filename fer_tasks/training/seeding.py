"""Seed a model independently of other threads."""

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import keras
from keras.src.random import seed_generator


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """The initial weights and dropout seeds of a model that is built in this block depend on `seed` alone.

    Without it they would not: Keras draws them from Python's global `random`, which all threads of the
    process share. The websockets library, which Prefect uses for its events, draws from it for each ping.
    """
    keras.utils.set_random_seed(seed)
    shared = seed_generator.python_random
    seed_generator.python_random = Random(seed)
    try:
        yield
    finally:
        seed_generator.python_random = shared
