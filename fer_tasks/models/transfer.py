"""A backbone of `keras.applications` with a new head, on ImageNet weights, on a file's, or on none."""

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import keras
from keras import layers

from fer_tasks.models.errors import BadModel

BACKBONES: dict[str, Callable[..., keras.Model]] = {
    "EfficientNetB0": keras.applications.EfficientNetB0,
    "MobileNetV2": keras.applications.MobileNetV2,
    "MobileNetV3Large": keras.applications.MobileNetV3Large,
    "MobileNetV3Small": keras.applications.MobileNetV3Small,
}
# From 0..255 to what the backbone wants; those without an entry rescale inside.
PREPROCESSING = {"MobileNetV2": {"scale": 1 / 127.5, "offset": -1.0}}


def transfer(
    input_shape: tuple[int, int, int],
    n_classes: int,
    backbone: str = "MobileNetV2",
    weights: str = "imagenet",
    trainable: bool = False,
    alpha: float | None = None,
    dropout: float = 0.2,
    norm_momentum: float | None = None,
) -> keras.Model:
    """Backbone, global average pooling, dropout and one dense layer.

    `input_shape`: (M, N, 1 or 3) with sides of at least 32 px; values 0..255, so the recipe has no `rescale`:
    the backbone's own preprocessing is part of the model. `weights`: `imagenet` (Keras downloads them once),
    `none`, or a `.weights.h5` file of the backbone without its top. `trainable`: the whole network, or only
    the head. `alpha`: the width of a MobileNet.
    """
    inputs = keras.Input(input_shape)
    x = layers.Concatenate()([inputs] * 3) if input_shape[2] == 1 else inputs
    if backbone in PREPROCESSING:
        x = layers.Rescaling(**PREPROCESSING[backbone])(x)
    body = _backbone(backbone, (*input_shape[:2], 3), weights, {} if alpha is None else {"alpha": alpha})
    body.trainable = trainable
    for layer in body.layers if norm_momentum else ():
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = norm_momentum
    x = layers.GlobalAveragePooling2D()(body(x, training=None if trainable else False))
    outputs = layers.Dense(n_classes, activation="softmax")(layers.Dropout(dropout)(x))
    return keras.Model(inputs, outputs, name=f"transfer_{backbone}".lower())


def _backbone(name: str, shape: tuple[int, ...], weights: str, options: dict[str, Any]) -> keras.Model:
    if name not in BACKBONES:
        raise BadModel(f"no backbone {name!r}; choose one of {sorted(BACKBONES)}")
    if "alpha" in options and "alpha" not in inspect.signature(BACKBONES[name]).parameters:
        raise BadModel(f"{name} has no alpha; leave it out, or choose a MobileNet")
    build = partial(BACKBONES[name], input_shape=shape, include_top=False, **options)
    if weights == "imagenet":
        return _downloaded(build, name)
    model = build(weights=None)
    if weights != "none":
        _load(model, name, Path(weights))
    return model


def _downloaded(build: Callable[..., keras.Model], name: str) -> keras.Model:
    try:
        return build(weights="imagenet")
    except Exception as error:  # Keras wraps whatever its download meets in a bare Exception
        if "URL fetch failure" not in str(error):
            raise
        raise BadModel(
            f"the ImageNet weights of {name} could not be downloaded ({error}); give `weights` a .weights.h5 "
            f"file of keras.applications.{name}(include_top=False), or `none`"
        ) from None


def _load(model: keras.Model, name: str, file: Path) -> None:
    if not file.is_file():
        raise BadModel(f"weights: there is no file {file}; give a path, `imagenet` or `none`")
    try:
        model.load_weights(file)
    except (ValueError, OSError, KeyError) as error:
        raise BadModel(f"weights: {file} does not fit {name} without its top: {error}") from None
