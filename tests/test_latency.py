"""A stopwatch for models: more work takes more time, and nothing is left of `predict`'s own."""

import time

import keras
import numpy as np
import pytest
from keras import layers

from fer_tasks.evaluation import latency
from fer_tasks.models import load_model

pytestmark = pytest.mark.slow


def dense(units: int) -> keras.Model:
    inputs = keras.Input((8, 8, 1))
    x = layers.Flatten()(inputs)
    for _ in range(3):
        x = layers.Dense(units, activation="relu")(x)
    return keras.Model(inputs, layers.Dense(7, activation="softmax")(x))


def test_more_work_takes_longer_and_predict_is_not_what_is_measured():
    small = dense(4)
    found = latency.milliseconds(small)
    began = time.perf_counter()
    small.predict(np.zeros((1, 8, 8, 1)), verbose=0)
    assert 0 < found < 1000 * (time.perf_counter() - began)
    assert latency.milliseconds(dense(3000)) > 2 * found


def test_models_in_files_are_measured_one_by_one(tmp_path):
    for name in ("a", "b"):
        dense(4).save(tmp_path / f"{name}.keras")
    files = {name: tmp_path / f"{name}.keras" for name in ("a", "b")}
    found = latency.measure_latencies(files, load_model)
    assert list(found) == ["a", "b"] and all(ms > 0 for ms in found.values())
