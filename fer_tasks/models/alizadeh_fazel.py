"""The deep CNN of Alizadeh & Fazel, "Convolutional Neural Networks for Facial Expression Recognition"
(arXiv 1704.06756)."""

import keras
from keras import layers

from fer_tasks.models.errors import BadModel

CONVOLUTIONS = ((64, 3), (128, 5), (512, 3), (512, 3))  # filters, kernel side; each followed by 2 x 2 pooling
DENSE = (256, 512)


def alizadeh_fazel(
    input_shape: tuple[int, int, int],
    n_classes: int,
    conv_dropout: float = 0.2,
    dense_dropout: float = 0.5,
    norm_momentum: float = 0.99,
    width: float = 1,
) -> keras.Model:
    """Four convolutions and two dense layers, each with batch norm, ReLU and dropout.

    `input_shape`: (M, N, C) with sides of at least 16 px; values 0..1. The paper leaves the dropout rates and
    the padding open: the defaults are those of the 2021 project, the padding keeps the size. `norm_momentum`,
    of the moving statistics of batch norm, wants to be lower where an epoch has few steps. `width` is the
    share of the paper's filters and units that each layer has, the width multiplier of Howard et al. 2017.
    """
    if min(input_shape[:2]) < 16:
        raise BadModel(f"alizadeh_fazel halves its input four times: {input_shape} has a side below 16 px")

    def normalised(x: keras.KerasTensor) -> keras.KerasTensor:
        return layers.ReLU()(layers.BatchNormalization(momentum=norm_momentum)(x))

    x = inputs = keras.Input(input_shape)
    for filters, side in CONVOLUTIONS:
        x = normalised(layers.Conv2D(round(filters * width), side, padding="same")(x))
        x = layers.Dropout(conv_dropout)(layers.MaxPooling2D()(x))
    x = layers.Flatten()(x)
    for units in DENSE:
        x = layers.Dropout(dense_dropout)(normalised(layers.Dense(round(units * width))(x)))
    return keras.Model(inputs, layers.Dense(n_classes, activation="softmax")(x), name="alizadeh_fazel")
