"""The VGG network of Khaireddin & Chen, "Facial Emotion Recognition: State of the Art Performance on FER2013"
(arXiv 2105.03588)."""

import keras
from keras import layers

from fer_tasks.models.blocks import check_sides, conv_norm_relu, norm_relu, probabilities

STAGES = (64, 128, 256, 512)  # filters of a stage's two 3 x 3 convolutions; 2 x 2 max pooling follows
DENSE = (512, 512)  # units


def khaireddin_chen(
    input_shape: tuple[int, int, int],
    n_classes: int,
    width: float = 1,
    dropout: float = 0.4,
    norm_momentum: float = 0.99,
) -> keras.Model:
    """Four stages of two convolutions, each with batch norm and ReLU, and three dense layers, the last of
    which gives the classes.

    `input_shape`: (M, N, C) with sides of at least 16 px, 40 × 40 crops of 48 × 48 in the paper; values 0..1.
    `width`: scales the filters and units of every layer; 0.5 needs a quarter of the arithmetic.

    The paper describes the stages and has three dense layers. That the first two have 512 units, batch norm
    and dropout is our choice.

    Raises:
        BadModel: the sides are too small.
    """
    check_sides("khaireddin_chen", input_shape, 2 ** len(STAGES))
    x = inputs = keras.Input(input_shape)
    for filters in STAGES:
        for _ in range(2):
            x = conv_norm_relu(x, round(filters * width), 3, norm_momentum=norm_momentum)
        x = layers.MaxPooling2D()(x)
    x = layers.Flatten()(x)
    for units in DENSE:
        x = layers.Dropout(dropout)(norm_relu(layers.Dense(round(units * width))(x), norm_momentum))
    return keras.Model(inputs, probabilities(x, n_classes), name="khaireddin_chen")
