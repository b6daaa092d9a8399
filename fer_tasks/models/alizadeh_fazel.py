"""The CNNs of Alizadeh & Fazel, "Convolutional Neural Networks for Facial Expression Recognition"
(arXiv 1704.06756)."""

from typing import NamedTuple

import keras
from keras import layers

from fer_tasks.models.blocks import check_choice, check_sides, conv_norm_relu, norm_relu, probabilities
from fer_tasks.models.hog import HOG


class Depth(NamedTuple):
    """One of the paper's two networks."""

    convolutions: tuple[tuple[int, int, bool], ...]  # filters, kernel side, whether 2 x 2 max pooling follows
    dense: tuple[int, ...]  # units


DEPTHS = {
    "shallow": Depth(((32, 3, False), (64, 3, True)), (512,)),
    "deep": Depth(((64, 3, True), (128, 5, True), (512, 3, True), (512, 3, True)), (256, 512)),
}
PADDINGS = ("same", "valid")


def alizadeh_fazel(
    input_shape: tuple[int, int, int],
    n_classes: int,
    depth: str = "deep",
    hog: bool = False,
    padding: str = "same",
    conv_dropout: float = 0.2,
    dense_dropout: float = 0.5,
    norm_momentum: float = 0.99,
    width: float = 1,
) -> keras.Model:
    """Convolutions and dense layers, each with batch norm, ReLU and dropout.

    `input_shape`: (M, N, C), values 0..1; 48 × 48 × 1 in the paper. The deep network halves the sides four
    times, so they must have at least 16 px; the shallow one pools once, after its second convolution.
    `hog`: the paper's hybrid, whose dense layers also take the picture's HOG.
    `norm_momentum`: of batch norm's moving statistics; choose it lower if an epoch has few steps.
    `width`: scales the filters and units of every layer (the width multiplier of Howard et al. 2017).

    The paper leaves the dropout rates, the padding and HOG's parameters open. The rates here are those of the
    2021 project; the padding keeps the size, since without padding nothing of 48 px is left for the fourth
    pooling; HOG has scikit-image's defaults.

    Raises:
        BadModel: `depth` or `padding` is unknown, or the sides are too small.
    """
    check_choice("depth", depth, DEPTHS)
    check_choice("padding", padding, PADDINGS)
    check_sides(f"alizadeh_fazel ({depth}, padding {padding})", input_shape, _smallest_side(depth, padding))
    x = inputs = keras.Input(input_shape)
    for filters, side, pooled in DEPTHS[depth].convolutions:
        x = conv_norm_relu(x, round(filters * width), side, padding, norm_momentum)
        x = layers.Dropout(conv_dropout)(layers.MaxPooling2D()(x) if pooled else x)
    x = layers.Flatten()(x)
    if hog:
        x = layers.Concatenate()([x, HOG()(inputs)])
    for units in DEPTHS[depth].dense:
        x = layers.Dropout(dense_dropout)(norm_relu(layers.Dense(round(units * width))(x), norm_momentum))
    return keras.Model(inputs, probabilities(x, n_classes), name="alizadeh_fazel")


def _smallest_side(depth: str, padding: str) -> int:
    side = 1
    for _, kernel, pooled in reversed(DEPTHS[depth].convolutions):
        side = side * (2 if pooled else 1) + (kernel - 1 if padding == "valid" else 0)
    return side
