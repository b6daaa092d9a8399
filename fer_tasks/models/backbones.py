"""Backbones of `keras.applications`, with ImageNet weights, weights of a file, or none."""

import inspect
from collections.abc import Callable
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Any

import keras
from filelock import FileLock
from keras import layers
from platformdirs import user_cache_path

from fer_tasks.models.batch_norm import BatchNormalization
from fer_tasks.models.blocks import check_choice
from fer_tasks.models.errors import BadModel

BACKBONES: dict[str, Callable[..., keras.Model]] = {
    "EfficientNetB0": keras.applications.EfficientNetB0,
    "EfficientNetB6": keras.applications.EfficientNetB6,
    "InceptionResNetV2": keras.applications.InceptionResNetV2,
    "MobileNetV2": keras.applications.MobileNetV2,
    "MobileNetV3Large": keras.applications.MobileNetV3Large,
    "MobileNetV3Small": keras.applications.MobileNetV3Small,
}
# From 0..255: to -1..1, which these two want; or to 0..1, which the slides of 2021 call "rescale". The other
# backbones rescale inside, and 2021 gave them 0..255 ("none"), so they see the same either way.
RESCALED = ("InceptionResNetV2", "MobileNetV2")
PREPROCESSINGS = {"own": {"scale": 1 / 127.5, "offset": -1.0}, "as_2021": {"scale": 1 / 255}}
EFFICIENT_NET_SCALE = (0.229, 0.224, 0.225)  # by the root of which Keras divides for `imagenet` alone


@keras.saving.register_keras_serializable("fer_tasks")
class InInference(layers.Wrapper):
    """A layer that stays in inference mode while the model around it trains: batch norm by the statistics
    that came with the weights, no dropout. `training=False` in a functional model would not do: Keras 3 gives
    every layer in it the `training` of the outermost call.
    """

    def call(self, inputs: Any) -> Any:
        return self.layer(inputs, training=False)


def backbone_features(
    inputs: keras.KerasTensor,
    name: str,
    weights: str = "imagenet",
    trainable: bool = False,
    preprocessing: str = "own",
    alpha: float | None = None,
    norm_momentum: float | None = None,
) -> keras.KerasTensor:
    """Images (n, M, N, 1 or 3), 0..255, to the backbone's feature maps (n, m, n, C).

    The backbone is one layer, named `backbone`. `trainable`: from the start, or frozen until a second phase
    sets `model.get_layer("backbone").trainable`. Its kernels train then, but it stays in inference mode: few
    pictures at a time spoil the statistics that ImageNet gave its batch norm.
    """
    check_choice("backbone", name, BACKBONES)
    check_choice("preprocessing", preprocessing, PREPROCESSINGS)
    if inputs.shape[3] not in (1, 3):
        raise BadModel(f"{name} takes grey or RGB pictures; this recipe gives {inputs.shape[1:]}")
    x = layers.Concatenate()([inputs] * 3) if inputs.shape[3] == 1 else inputs
    if name in RESCALED:
        x = layers.Rescaling(**PREPROCESSINGS[preprocessing])(x)
    body = _backbone(name, x.shape[1:], weights, {} if alpha is None else {"alpha": alpha})
    for layer in body.layers if norm_momentum else ():
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = norm_momentum
    if trainable:
        return body(x)
    frozen = InInference(body, name="backbone")
    frozen.trainable = False
    return frozen(x)


def _backbone(name: str, shape: tuple[int, ...], weights: str, options: dict[str, Any]) -> keras.Model:
    if "alpha" in options and "alpha" not in inspect.signature(BACKBONES[name]).parameters:
        raise BadModel(f"{name} has no alpha; leave it out, or choose a MobileNet")
    build = partial(BACKBONES[name], input_shape=shape, include_top=False, name="backbone", **options)
    if weights == "imagenet":
        return _fused(_downloaded(build, name))
    model = build(weights=None)
    if weights != "none":
        _load(model, name, Path(weights))
    return _fused(model)


def _downloaded(build: Callable[..., keras.Model], name: str) -> keras.Model:
    """Keras writes a download where it will look for it, so cells side by side take turns."""
    try:
        with FileLock(user_cache_path("monday-fer", ensure_exists=True) / f"{name}.lock"):
            return build(weights="imagenet")
    except Exception as error:  # Keras wraps what its download meets in a bare Exception
        cut_off = isinstance(error, OSError | HTTPException) or "corrupted" in str(error)
        if not cut_off and "URL fetch failure" not in str(error):
            raise
        raise BadModel(
            f"the ImageNet weights of {name} could not be downloaded ({error}); remove any part of them "
            f"in ~/.keras/models and try again, give `weights` a .weights.h5 file of "
            f"keras.applications.{name}(include_top=False), or `none`"
        ) from None


def _load(model: keras.Model, name: str, file: Path) -> None:
    if not file.is_file():
        raise BadModel(f"weights: there is no file {file}; give a path, `imagenet` or `none`")
    try:
        model.load_weights(file)
    except (ValueError, OSError, KeyError) as error:
        raise BadModel(f"weights: {file} does not fit {name} without its top: {error}") from None
    for layer in _normalizations(model):  # EfficientNet's: what `imagenet` has in a layer of its own
        layer.adapt_variance.assign(layer.adapt_variance * EFFICIENT_NET_SCALE)


def _fused(model: keras.Model) -> keras.Model:
    """The same model with our batch norm: MobileNetV2 takes a step of training in 0.6 to 0.7 of the time."""

    def clone(layer: keras.Layer) -> keras.Layer:
        kind = BatchNormalization if type(layer) is layers.BatchNormalization else type(layer)
        return kind.from_config(layer.get_config())

    fused = keras.models.clone_model(model, clone_function=clone)
    fused.set_weights(model.get_weights())
    for layer in _normalizations(fused):
        layer.finalize_state()  # it computes with copies of its weights
    return fused


def _normalizations(model: keras.Model) -> list[layers.Normalization]:
    return [layer for layer in model.layers if isinstance(layer, layers.Normalization)]
