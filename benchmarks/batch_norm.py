"""A training step with the fused batch norm, compared with the same model with Keras' batch norm.

python -m benchmarks.batch_norm [--steps 8]

Both models start from the same weights and take their steps in turn, on one thread. CPU time is measured, so
that other work on the machine does not count.
"""

import argparse
import json
import time

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from fer_tasks.models import build_model
from fer_tasks.models.batch_norm import BatchNormalization

BATCH = 32
WARM_UP = 2  # steps: the first traces the graph
NO_DROPOUT = {"conv_dropout": 0, "dense_dropout": 0}
MOBILE_NET = {"backbone": "MobileNetV2", "weights": "none", "trainable": True, "dropout": 0}
CASES = {
    "paper_cnn_48": ("alizadeh_fazel", (48, 48, 1), NO_DROPOUT),
    "paper_cnn_150": ("alizadeh_fazel", (150, 150, 1), NO_DROPOUT),
    "mlcnn_48": ("mlcnn", (48, 48, 1), NO_DROPOUT),
    "mobilenet_v2_96": ("transfer", (96, 96, 3), MOBILE_NET),
}


def layer_alone() -> keras.Model:
    """Batch norm and little else, on inputs of the shape that the paper CNN's first convolution gives."""
    inputs = keras.Input((48, 48, 64))
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(BatchNormalization()(inputs)))
    return keras.Model(inputs, layers.Dense(7, activation="softmax")(x))


def unfused(model: keras.Model) -> keras.Model:
    """The same model with Keras' batch norm instead of ours."""

    def clone(layer: keras.Layer) -> keras.Layer:
        if isinstance(layer, keras.Model):
            return keras.models.clone_model(layer, clone_function=clone)
        kind = layers.BatchNormalization if isinstance(layer, BatchNormalization) else type(layer)
        return kind.from_config(layer.get_config())

    copy = keras.models.clone_model(model, clone_function=clone)
    copy.set_weights(model.get_weights())
    return copy


def measured(ours: keras.Model, steps: int) -> dict[str, float]:
    """CPU ms per picture of a training step of both models, their ratio, and the difference of their first
    losses."""
    rng = np.random.default_rng(0)
    x, y = rng.random((BATCH, *ours.input_shape[1:]), np.float32), rng.integers(0, 7, BATCH)
    models = {"fused": ours, "unfused": unfused(ours)}
    times: dict[str, list[float]] = {name: [] for name in models}
    losses: dict[str, list[float]] = {name: [] for name in models}
    for model in models.values():
        model.compile("sgd", "sparse_categorical_crossentropy")
    for _ in range(WARM_UP + steps):
        for name, model in models.items():
            start = time.process_time()
            losses[name].append(float(model.train_on_batch(x, y)))
            times[name].append(1000 * (time.process_time() - start) / BATCH)
    fused, plain = (float(np.median(times[name][WARM_UP:])) for name in ("fused", "unfused"))
    difference = abs(losses["fused"][0] - losses["unfused"][0])
    figures = {"fused_ms": fused, "unfused_ms": plain, "ratio": plain / fused, "loss_difference": difference}
    return {name: round(value, 4) for name, value in figures.items()}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.batch_norm", description=__doc__)
    parser.add_argument("--steps", type=int, default=8)
    steps = parser.parse_args().steps
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    figures = {"layer": measured(layer_alone(), steps)}
    for case, (name, shape, options) in CASES.items():
        figures[case] = measured(build_model(name, shape, 7, **options), steps)
        print(f"{case:<16} {figures[case]}", flush=True)
    print(json.dumps({f"ratio_{case}": row["ratio"] for case, row in figures.items()}))


if __name__ == "__main__":
    main()
