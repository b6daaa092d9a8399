"""What a seed decides, whatever other threads do."""

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import keras
from keras.src.random import seed_generator


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """A model that is built in here gets its first weights and the seeds of its dropouts from `seed` alone.

    Keras draws them from the one generator of Python's `random`, which any thread of the process draws from:
    websockets, which Prefect sends its events through, does so for each ping.
    """
    keras.utils.set_random_seed(seed)
    shared = seed_generator.python_random
    seed_generator.python_random = Random(seed)
    try:
        yield
    finally:
        seed_generator.python_random = shared
