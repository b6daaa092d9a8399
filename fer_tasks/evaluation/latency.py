"""Measure the inference latency of a model."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median

import keras
import numpy as np
import tensorflow as tf

WARM_UP, RUNS = 5, 50


def milliseconds(model: keras.Model) -> float:
    """The median time of a compiled call on one picture in ms, on all of TensorFlow's threads.

    `predict()`, which is made for many pictures, would add some 50 ms of overhead.
    """
    shape = (1, *model.input_shape[1:])
    call = tf.function(lambda x: model(x, training=False), input_signature=[tf.TensorSpec(shape, tf.float32)])
    picture = tf.constant(np.random.default_rng(0).random(shape, np.float32))
    spent = []
    for _ in range(WARM_UP + RUNS):
        began = time.perf_counter()
        call(picture).numpy()
        spent.append(time.perf_counter() - began)
    return 1000 * median(spent[WARM_UP:])


def measure_latencies(files: Mapping[str, Path], load: Callable[[Path], keras.Model]) -> dict[str, float]:
    """`milliseconds` of each model by its name; one model is in memory at a time."""
    latencies = {}
    for name, file in files.items():
        latencies[name] = milliseconds(load(file))
        keras.utils.clear_session()
    return latencies
