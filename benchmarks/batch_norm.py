"""A training step with our fused batch norm against the same model with that of Keras.

python -m benchmarks.batch_norm [--steps 8]

Both models start from the same weights and take their steps in turn, on one thread; CPU time, so that other
work on the machine does not count.
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
    """Batch norm and little else, on what the first convolution of the paper's CNN gives."""
    inputs = keras.Input((48, 48, 64))
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(BatchNormalization()(inputs)))
    return keras.Model(inputs, layers.Dense(7, activation="softmax")(x))


def unfused(model: keras.Model) -> keras.Model:
    """The same model, with the batch norm of Keras in place of ours."""

    def clone(layer: keras.Layer) -> keras.Layer:
        if isinstance(layer, keras.Model):
            return keras.models.clone_model(layer, clone_function=clone)
        kind = layers.BatchNormalization if isinstance(layer, BatchNormalization) else type(layer)
        return kind.from_config(layer.get_config())

    twin = keras.models.clone_model(model, clone_function=clone)
    twin.set_weights(model.get_weights())
    return twin


def measured(ours: keras.Model, steps: int) -> dict[str, float]:
    """CPU milliseconds a picture and step of both, their ratio, and how far their first losses lie apart."""
    rng = np.random.default_rng(0)
    x, y = rng.random((BATCH, *ours.input_shape[1:]), np.float32), rng.integers(0, 7, BATCH)
    pair = {"fused": ours, "unfused": unfused(ours)}
    times: dict[str, list[float]] = {way: [] for way in pair}
    losses: dict[str, list[float]] = {way: [] for way in pair}
    for model in pair.values():
        model.compile("sgd", "sparse_categorical_crossentropy")
    for _ in range(WARM_UP + steps):
        for way, model in pair.items():
            start = time.process_time()
            losses[way].append(float(model.train_on_batch(x, y)))
            times[way].append(1000 * (time.process_time() - start) / BATCH)
    fused, plain = (float(np.median(times[way][WARM_UP:])) for way in ("fused", "unfused"))
    apart = abs(losses["fused"][0] - losses["unfused"][0])
    figures = {"fused_ms": fused, "unfused_ms": plain, "ratio": plain / fused, "losses_apart": apart}
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
