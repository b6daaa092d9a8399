"""Transfer learning: a backbone that has learnt from other pictures, with a new head."""

from collections.abc import Sequence

import keras
from keras import layers

from fer_tasks.models.backbones import backbone_features
from fer_tasks.models.blocks import check_choice, probabilities
from fer_tasks.models.errors import BadModel

HEADS = {"plain": 1, "dnn": 2}  # the most dropout rates that each head takes
DENSE = 256  # units in the dnn head


def transfer(
    input_shape: tuple[int, int, int],
    n_classes: int,
    backbone: str = "MobileNetV2",
    head: str = "plain",
    weights: str | None = None,
    trainable: bool = False,
    preprocessing: str = "own",
    alpha: float | None = None,
    dropout: float | Sequence[float] = 0.2,
    norm_momentum: float | None = None,
) -> keras.Model:
    """Backbone, global average pooling (the layer `features`) and a head.

    `input_shape`: (M, N, 1 or 3) with sides of at least 32 px, for InceptionResNetV2 of at least 75 px, for
    `pretrained` those of its network; values 0..255, so the recipe has no `rescale`.
    `backbone`: a key of BACKBONES; `pretrained` is the network in `pretrained/`.
    `head`: `plain`, dropout and the classes; `dnn`, a dense layer of 256 with ReLU before these (the width is
    our choice, as the 2021 slides state none).
    `weights`: those of `pretrained` are its own; of another backbone `imagenet` (if left out; Keras downloads
    them once), `none`, or a `.weights.h5` file with its weights without its top.
    `trainable`: whether the backbone is trained from the start; if not, a second phase may fine-tune it (see
    `backbone_features`).
    `preprocessing`: `own`, the backbone's; `as_2021`, that of the 2021 project. It is part of the model.
    `alpha`: the width multiplier of a MobileNet.
    `dropout`: the rate before the classes; the `dnn` head takes two, the first one before its dense layer.
    `norm_momentum`: of the backbone's batch norms, if it is trained from the start.

    Raises:
        BadModel: `head` or `dropout` is wrong, or as `backbone_features`.
    """
    check_choice("head", head, HEADS)
    rates = [dropout] if isinstance(dropout, int | float) else list(dropout)
    if not 1 <= len(rates) <= HEADS[head]:
        raise BadModel(f"the head {head!r} takes at most {HEADS[head]} dropout rates; there are {len(rates)}")
    inputs = keras.Input(input_shape)
    x = backbone_features(inputs, backbone, weights, trainable, preprocessing, alpha, norm_momentum)
    x = layers.GlobalAveragePooling2D(name="features")(x)
    if head == "dnn":
        for rate in rates[:-1]:
            x = layers.Dropout(rate)(x)
        x = layers.Dense(DENSE, activation="relu")(x)
    outputs = probabilities(layers.Dropout(rates[-1])(x), n_classes)
    return keras.Model(inputs, outputs, name=f"transfer_{backbone}".lower())
