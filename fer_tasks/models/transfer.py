"""A backbone of `keras.applications` with a new head."""

from collections.abc import Sequence

import keras
from keras import layers

from fer_tasks.models.backbones import backbone_features
from fer_tasks.models.blocks import check_choice, probabilities
from fer_tasks.models.errors import BadModel

HEADS = {"plain": 1, "dnn": 2}  # dropouts that each has room for
DENSE = 256  # of the dnn head


def transfer(
    input_shape: tuple[int, int, int],
    n_classes: int,
    backbone: str = "MobileNetV2",
    head: str = "plain",
    weights: str = "imagenet",
    trainable: bool = False,
    preprocessing: str = "own",
    alpha: float | None = None,
    dropout: float | Sequence[float] = 0.2,
    norm_momentum: float | None = None,
) -> keras.Model:
    """Backbone, global average pooling (the layer `features`) and a head.

    `input_shape`: (M, N, 1 or 3), with sides of at least 32 px, of 75 px for InceptionResNetV2; values
    0..255, so the recipe has no `rescale`: the backbone's own preprocessing is part of the model, or, with
    `preprocessing: as_2021`, what the 2021 project did. `head`: `plain`, dropout and the classes; `dnn`, a
    dense layer of 256 with ReLU before them (2021 tells no width). `dropout`: the rate before the classes; of
    two, the first stands before the dense layer. `weights`: `imagenet` (Keras downloads them once), `none`,
    or a `.weights.h5` file of the backbone's ImageNet weights without its top. `trainable`: the whole network
    from the start, or only the head (`backbone_features` tells what a later phase may do). `alpha`: the width
    of a MobileNet. `norm_momentum`: of the backbone's batch norm, where it trains.
    """
    check_choice("head", head, HEADS)
    rates = [dropout] if isinstance(dropout, int | float) else list(dropout)
    if not 1 <= len(rates) <= HEADS[head]:
        raise BadModel(f"the head {head!r} has room for {HEADS[head]} dropout rates; there are {len(rates)}")
    inputs = keras.Input(input_shape)
    x = backbone_features(inputs, backbone, weights, trainable, preprocessing, alpha, norm_momentum)
    x = layers.GlobalAveragePooling2D(name="features")(x)
    if head == "dnn":
        for rate in rates[:-1]:
            x = layers.Dropout(rate)(x)
        x = layers.Dense(DENSE, activation="relu")(x)
    outputs = probabilities(layers.Dropout(rates[-1])(x), n_classes)
    return keras.Model(inputs, outputs, name=f"transfer_{backbone}".lower())
