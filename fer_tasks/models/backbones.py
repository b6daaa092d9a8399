"""Backbones: those of `keras.applications`, with ImageNet weights, weights from a file or random weights, and
the network that this program has."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
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
from fer_tasks.models.pretrained import pretrained
from fer_tasks.storage.model_folder import BACKBONE

BACKBONES: dict[str, Callable[..., keras.Model]] = {
    "EfficientNetB0": keras.applications.EfficientNetB0,
    "EfficientNetB6": keras.applications.EfficientNetB6,
    "InceptionResNetV2": keras.applications.InceptionResNetV2,
    "MobileNetV2": keras.applications.MobileNetV2,
    "MobileNetV3Large": keras.applications.MobileNetV3Large,
    "MobileNetV3Small": keras.applications.MobileNetV3Small,
    "pretrained": pretrained,  # BACKBONE: it has weights of its own, and takes grey pictures as they are
}
# These two expect -1..1 ("own"); the 2021 project gave them 0..1, which its slides call "rescale". The other
# backbones rescale inside, and 2021 gave them 0..255 ("none"), so both settings are the same for them.
RESCALED = ("InceptionResNetV2", "MobileNetV2")
PREPROCESSINGS = {"own": {"scale": 1 / 127.5, "offset": -1.0}, "as_2021": {"scale": 1 / 255}}
# With weights="imagenet", and only then, Keras also divides EfficientNet's inputs by the roots of these.
EFFICIENT_NET_SCALE = (0.229, 0.224, 0.225)
_reused: ContextVar[dict[str, keras.Model] | None] = ContextVar("backbones to reuse", default=None)


@contextmanager
def reusing_backbones() -> Iterator[None]:
    """In the block, models of the same backbone share it, weights and all: to check what can be built."""
    before = _reused.set({})
    try:
        yield
    finally:
        _reused.reset(before)


@keras.saving.register_keras_serializable("fer_tasks")
class InInference(layers.Wrapper):
    """A layer that stays in inference mode while the model around it trains.

    Its batch norms use the statistics that came with the weights, and dropout is off. Calling the layer with
    `training=False` in a functional model would not work: Keras 3 passes every layer the `training` of the
    outermost call.
    """

    def call(self, inputs: Any) -> Any:
        return self.layer(inputs, training=False)

    def compute_output_spec(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """What the layer knows of itself; by `call`, Keras would trace all of a backbone once more."""
        return self.layer.compute_output_spec(inputs)


def backbone_features(
    inputs: keras.KerasTensor,
    name: str,
    weights: str | None = None,
    trainable: bool = False,
    preprocessing: str = "own",
    alpha: float | None = None,
    norm_momentum: float | None = None,
) -> keras.KerasTensor:
    """Apply a backbone to images (n, M, N, 1 or 3), 0..255: its feature maps, (n, m, n, C).

    The backbone is one layer, named `backbone`. `trainable`: whether it is trained from the start; otherwise
    it is frozen until a second phase sets `model.get_layer("backbone").trainable`. Then its kernels are
    trained, but it stays in inference mode: small batches would spoil its batch norms' ImageNet statistics.
    `weights`, `preprocessing`, `alpha` and `norm_momentum` are those of `transfer`.

    Raises:
        BadModel: a name or the number of channels is wrong, or the weights cannot be downloaded or do not
            fit.
    """
    check_choice("backbone", name, BACKBONES)
    check_choice("preprocessing", preprocessing, PREPROCESSINGS)
    if inputs.shape[3] not in (1, 3):
        raise BadModel(f"{name} takes grey or RGB pictures; this recipe gives {inputs.shape[1:]}")
    as_rgb = inputs.shape[3] == 1 and name != BACKBONE
    x = layers.Concatenate()([inputs] * 3) if as_rgb else inputs
    if name in RESCALED:
        x = layers.Rescaling(**PREPROCESSINGS[preprocessing])(x)
    body = _reuse_or_build(name, x.shape[1:], weights, {} if alpha is None else {"alpha": alpha})
    for layer in body._flatten_layers() if norm_momentum else ():
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = norm_momentum
    if trainable:
        return body(x)
    frozen = InInference(body, name="backbone")
    frozen.trainable = False
    return frozen(x)


def _reuse_or_build(*arguments: Any) -> keras.Model:
    reused, key = _reused.get(), repr(arguments)
    if reused is None:
        return _backbone(*arguments)
    if key not in reused:
        reused[key] = _backbone(*arguments)
    return reused[key]


def _backbone(name: str, shape: tuple[int, ...], weights: str | None, options: dict[str, Any]) -> keras.Model:
    if "alpha" in options and "alpha" not in inspect.signature(BACKBONES[name]).parameters:
        raise BadModel(f"{name} has no alpha; leave it out, or choose a MobileNet")
    build = partial(BACKBONES[name], input_shape=shape, name="backbone", **options)
    if name == BACKBONE:
        if weights is not None:
            raise BadModel(f"{name} has weights of its own; leave `weights` out")
        return build()
    build = partial(build, include_top=False)
    if weights in (None, "imagenet"):
        return _fused(_downloaded(build, name))
    model = build(weights=None)
    if weights != "none":
        _load(model, name, Path(weights))
    return _fused(model)


def _downloaded(build: Callable[..., keras.Model], name: str) -> keras.Model:
    """Build a backbone with ImageNet weights, which Keras downloads once; processes take turns by a lock,
    since Keras would read a file that another one is still writing."""
    try:
        with FileLock(user_cache_path("monday-fer", ensure_exists=True) / f"{name}.lock"):
            return build(weights="imagenet")
    except Exception as error:  # Keras wraps errors of its download in a bare Exception
        cut_off = isinstance(error, OSError | HTTPException) or "corrupted" in str(error)
        if not cut_off and "URL fetch failure" not in str(error):
            raise
        raise BadModel(
            f"the ImageNet weights of {name} could not be downloaded ({error}); remove partial files of them "
            f"in ~/.keras/models and try again, or set `weights` to a .weights.h5 file of "
            f"keras.applications.{name}(include_top=False) or to `none`"
        ) from None


def _load(model: keras.Model, name: str, file: Path) -> None:
    if not file.is_file():
        raise BadModel(f"weights: there is no file {file}; set a path, `imagenet` or `none`")
    try:
        model.load_weights(file)
    except (ValueError, OSError, KeyError) as error:
        raise BadModel(f"weights: {file} does not fit {name} without its top: {error}") from None
    for layer in _normalizations(model):  # EfficientNet's; with `imagenet` Keras adds a layer for this
        layer.adapt_variance.assign(layer.adapt_variance * EFFICIENT_NET_SCALE)


def _fused(model: keras.Model) -> keras.Model:
    """The model with the fused batch norm: a training step of MobileNetV2 takes 0.6 to 0.7 of the time."""
    for layer in model.layers:
        if type(layer) is layers.BatchNormalization:
            layer.__class__ = (
                BatchNormalization  # it differs in `call` only; a clone takes as long as building
            )
    for layer in _normalizations(model):
        layer.finalize_state()  # the layer computes with copies of its weights
    return model


def _normalizations(model: keras.Model) -> list[layers.Normalization]:
    return [layer for layer in model.layers if isinstance(layer, layers.Normalization)]
