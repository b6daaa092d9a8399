"""The moving average of the weights has batch norms of its own, and touches nothing that learns."""

import keras
import numpy as np
import pytest

from fer_tasks.settings.training import Plan
from fer_tasks.training import fit
from fer_tasks.training.weight_averaging import swap_in_ema_weights

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(3)
Y = RNG.integers(0, 3, 96)
X = (RNG.normal(0, 0.3, (96, 6, 6, 1)) + Y[:, None, None, None]).astype(np.float32) / 2
ARRAYS = fit.Arrays(X[:64], Y[:64], X[64:], Y[64:])
PLAN = Plan(optimizer="sgd", learning_rate=0.3, epochs=4, batch_size=8)


def normed() -> keras.Model:
    layers = [
        keras.layers.Flatten(),
        keras.layers.Dense(8, name="hidden"),
        keras.layers.BatchNormalization(momentum=0.9, name="norm"),
        keras.layers.Dropout(0.2),
        keras.layers.Dense(3, activation="softmax", dtype="float32"),
    ]
    return keras.Sequential([keras.Input((6, 6, 1)), *layers])


def test_batch_norm_goes_by_the_averaged_weights():
    model = normed()
    model.compile(keras.optimizers.SGD(0.3, use_ema=True, ema_momentum=0.9), "categorical_crossentropy")
    y = np.eye(3, dtype=np.float32)[Y]
    model.fit(X, y, epochs=2, batch_size=8, verbose=0)
    batches = [(X[at : at + 8], y[at : at + 8]) for at in range(0, 64, 8)]
    swap_in_ema_weights(model, batches)
    kernel, bias = model.get_layer("hidden").get_weights()
    seen = [x.reshape(8, -1) @ kernel + bias for x, _ in batches]
    norm = model.get_layer("norm")
    assert np.allclose(norm.moving_mean, np.mean([part.mean(axis=0) for part in seen], axis=0), atol=1e-5)
    assert np.allclose(norm.moving_variance, np.mean([part.var(axis=0) for part in seen], axis=0), atol=1e-5)
    assert norm.momentum == 0.9


def test_what_learns_learns_the_same():
    plain, averaged = (
        fit.fit(normed, ARRAYS, PLAN.model_copy(update={"ema": ema}), 1, lambda row: None).history
        for ema in (0, 0.9)
    )
    assert averaged[["loss", "accuracy"]].equals(plain[["loss", "accuracy"]])


def test_a_slow_average_of_a_quick_network_is_no_worse_than_chance_lets_it_be():
    """Without statistics of its own it was at chance for a dozen epochs (FER2013, momentum 0.999)."""
    result = fit.fit(normed, ARRAYS, PLAN.model_copy(update={"ema": 0.95, "epochs": 8}), 1, lambda row: None)
    assert result.history["val_accuracy"].iloc[3:].min() > 0.8
    accuracy = (fit.predict(result.model, ARRAYS.x_val).argmax(axis=1) == ARRAYS.y_val).mean()
    assert np.isclose(accuracy, result.history["val_accuracy"].max())
