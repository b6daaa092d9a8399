"""The network of Yu & Zhang, "Image based Static Facial Expression Recognition with Multiple Deep Network
Learning" (ICMI 2015)."""

import keras
from keras import layers

from fer_tasks.models.blocks import check_choice, check_sides, probabilities
from fer_tasks.models.stochastic_pooling import StochasticPooling2D

STAGES = (
    ((64, 5),),
    ((64, 3), (128, 3)),
    ((128, 3), (128, 3)),
)  # filters, kernel side; pooling after each stage
DENSE = (1024, 1024)  # units
POOLINGS = {
    "max": lambda: layers.MaxPooling2D(3, 2, "same"),
    "stochastic": lambda: StochasticPooling2D(3, 2),
}


def yu_zhang(
    input_shape: tuple[int, int, int], n_classes: int, pooling: str = "stochastic", dropout: float = 0.5
) -> keras.Model:
    """Five convolutions with ReLU in three stages, each pooled by 3 × 3 windows every 2 px, and two dense
    layers with ReLU and dropout.

    `input_shape`: (M, N, C) with sides of at least 8 px, 48 × 48 in the paper; values 0..1.
    `pooling`: `stochastic`, as in the paper, or `max`, which the 2021 project used instead.

    The dropout rate and the padding are our choices. The padding keeps the size: 48 px become 6 × 6.

    Raises:
        BadModel: `pooling` is unknown, or the sides are too small.
    """
    check_choice("pooling", pooling, POOLINGS)
    check_sides("yu_zhang", input_shape, 8)
    x = inputs = keras.Input(input_shape)
    for stage in STAGES:
        for filters, side in stage:
            x = layers.Conv2D(filters, side, padding="same", activation="relu")(x)
        x = POOLINGS[pooling]()(x)
    x = layers.Flatten()(x)
    for width in DENSE:
        x = layers.Dropout(dropout)(layers.Dense(width, activation="relu")(x))
    return keras.Model(inputs, probabilities(x, n_classes), name="yu_zhang")
