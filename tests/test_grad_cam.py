"""Grad-CAM finds what a class depends on, in every kind of model that has feature maps."""

import keras
import numpy as np
import pytest
from keras import layers

from fer_tasks.evaluation.grad_cam import NoFeatureMaps, grad_cam
from fer_tasks.models import build_model, load_model
from fer_tasks.reports.plots import overlay

pytestmark = pytest.mark.slow

TINY = {"backbone": "MobileNetV2", "alpha": 0.35, "weights": "none"}
MODELS = {
    "frozen": ("transfer", 64, TINY, 2),
    "trainable": ("transfer", 64, {**TINY, "trainable": True}, 2),
    "hog": ("alizadeh_fazel", 48, {"hog": True, "width": 0.1}, 6),
    "pooled": ("yu_zhang", 24, {"pooling": "stochastic"}, 6),
}


def looks_at_one_quadrant() -> keras.Model:
    """Class 1 is how bright the upper right quadrant is, class 0 how bright the lower left one is."""
    inputs = keras.Input((16, 16, 1))
    maps = layers.Conv2D(2, 1, use_bias=False, activation="relu")(inputs)
    flat = layers.Flatten()(layers.AveragePooling2D(8)(maps))
    model = keras.Model(inputs, layers.Dense(2, activation="softmax")(flat))
    kernel = np.zeros((8, 2), np.float32)  # of 2 x 2 quadrants with 2 channels each
    kernel[2, 1] = kernel[5, 0] = 5.0
    model.set_weights([np.ones((1, 1, 1, 2), np.float32), kernel, np.zeros(2, np.float32)])
    return model


def test_the_map_is_highest_where_the_class_is_decided():
    model = looks_at_one_quadrant()
    x = np.full((2, 16, 16, 1), 0.1, np.float32)
    x[:, :8, 8:] = x[:, 8:, :8] = 1
    upper, lower = grad_cam(model, x, np.array([1, 0]))
    assert upper.shape == (16, 16) and upper.max() == lower.max() == 1
    assert upper[:8, 8:].min() == 1 > upper[:8, :8].max()
    assert np.argmax(upper.sum(axis=1)) < 8 or upper[:8, 8:].sum() >= upper[8:, :8].sum()


def test_nothing_that_speaks_for_a_class_is_an_empty_map():
    model = looks_at_one_quadrant()
    model.set_weights([*model.get_weights()[:1], -np.ones((8, 2), np.float32), np.zeros(2, np.float32)])
    heat = grad_cam(model, np.ones((1, 16, 16, 1), np.float32), np.array([0]))
    assert np.isfinite(heat).all() and not heat.any()


@pytest.mark.parametrize("kind", MODELS)
def test_every_kind_of_model_has_maps_before_they_are_pooled(kind, tmp_path):
    name, side, options, of_map = MODELS[kind]
    keras.utils.set_random_seed(1)
    model = build_model(name, (side, side, 1), 7, **options)
    model.save(tmp_path / "model.keras")
    x = np.random.default_rng(0).random((3, side, side, 1), np.float32)
    found = [grad_cam(m, x, np.array([0, 3, 6])) for m in (model, load_model(tmp_path / "model.keras"))]
    assert found[0].shape == (3, of_map, of_map) and found[0].dtype == np.float32
    assert found[0].min() >= 0 and found[0].max() <= 1
    assert np.allclose(found[0], found[1], atol=1e-5)


def test_a_model_of_half_precision_has_maps():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = build_model("alizadeh_fazel", (16, 16, 1), 7, width=0.1)
    finally:
        keras.config.set_dtype_policy("float32")
    assert grad_cam(model, np.ones((1, 16, 16, 1), np.float32), np.array([2])).dtype == np.float32


def test_a_model_of_vectors_has_nowhere_to_look():
    inputs = keras.Input((9,))
    model = keras.Model(inputs, layers.Dense(7, activation="softmax")(inputs))
    with pytest.raises(NoFeatureMaps, match="no layer that gives feature maps"):
        grad_cam(model, np.ones((1, 9), np.float32), np.array([0]))


def test_an_overlay_is_red_where_the_map_is_high():
    face = np.full((30, 20, 3), 128, np.uint8)
    shown = overlay(face, np.array([[1.0, 0.0], [0.0, 0.0]], np.float32))
    assert shown.shape == face.shape and shown.dtype == np.uint8
    assert shown[0, 0, 0] > shown[0, 0, 2] and shown[-1, -1, 2] > shown[-1, -1, 0]
