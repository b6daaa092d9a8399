"""The baseline that the 2021 project ran on its raw pictures."""

import keras
from keras import layers

from fer_tasks.models.blocks import check_sides, probabilities

FILTERS = (32, 64, 128, 128)
SMALLEST = 46  # px of a side, so that 1 px is left after four unpadded convolutions, each followed by pooling


def baseline(input_shape: tuple[int, int, int], n_classes: int, dropout: float = 0.5) -> keras.Model:
    """Four 3 × 3 convolutions, each with ReLU and 2 × 2 max pooling, then dropout and a dense layer of 512.

    `input_shape`: (M, N, C) with sides of at least 46 px; values 0..1.

    The 2021 project reports the input, 150 × 150, and the dropout, 0.5, but not the layers. This is the
    network with that input and dropout in Chollet, "Deep Learning with Python" (2017), section 5.2, with the
    classes at its end; that the project used it is our guess.

    Raises:
        BadModel: the sides are too small.
    """
    check_sides("baseline", input_shape, SMALLEST)
    x = inputs = keras.Input(input_shape)
    for filters in FILTERS:
        x = layers.MaxPooling2D()(layers.Conv2D(filters, 3, activation="relu")(x))
    x = layers.Dropout(dropout)(layers.Flatten()(x))
    x = layers.Dense(512, activation="relu")(x)
    return keras.Model(inputs, probabilities(x, n_classes), name="baseline")
