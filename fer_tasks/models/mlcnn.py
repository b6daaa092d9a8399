"""The multi-level CNN of Nguyen et al., "Facial Expression Recognition Using a Multi-level Convolutional
Neural Network" (ICPRAI 2018)."""

import keras
from keras import layers

from fer_tasks.models.blocks import check_sides, conv_norm_relu, probabilities

# Filters and number of 3 x 3 convolutions of each block; 2 x 2 max pooling follows.
BLOCKS = ((64, 2), (128, 3), (256, 4), (256, 4), (512, 4))
LEVELS = (1, 2, 3)  # indices of the blocks whose last convolution, before pooling, also feeds the classes
LEVEL_WIDTH = 256  # units of the dense layer on each of them


def mlcnn(
    input_shape: tuple[int, int, int],
    n_classes: int,
    batch_norm: bool = True,
    conv_dropout: float = 0.25,
    dense_dropout: float = 0.5,
    norm_momentum: float = 0.99,
) -> keras.Model:
    """Five VGG-like blocks; the outputs of blocks 2, 3 and 4, each through a dense layer of 256, are joined
    with that of block 5.

    `input_shape`: (M, N, C) with sides of at least 32 px, 48 × 48 × 1 in the paper; values 0..1.

    The layers are those of the authors' published summary (github.com/nhduong/fer2013icprai2018, its first
    network), which has dropout after each block and no batch norm. Our choices: `batch_norm`, the dropout
    rates, and the dropout between the 1,280 joined features and the classes, since the summary does not
    state these.

    Raises:
        BadModel: the sides are too small.
    """
    check_sides("mlcnn", input_shape, 2 ** len(BLOCKS))
    x = inputs = keras.Input(input_shape)
    level_features = []
    for block, (filters, convolutions) in enumerate(BLOCKS):
        for _ in range(convolutions):
            if batch_norm:
                x = conv_norm_relu(x, filters, 3, norm_momentum=norm_momentum)
            else:
                x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        if block in LEVELS:
            level_features.append(layers.Dense(LEVEL_WIDTH, activation="relu")(layers.Flatten()(x)))
        x = layers.Dropout(conv_dropout)(layers.MaxPooling2D()(x))
    x = layers.Concatenate()([*level_features, layers.Flatten()(x)])
    x = layers.Dropout(dense_dropout)(x)
    return keras.Model(inputs, probabilities(x, n_classes), name="mlcnn")
