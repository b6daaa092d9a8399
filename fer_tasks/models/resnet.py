"""A small residual network for small faces: He et al., "Deep Residual Learning for Image Recognition" (2016),
in the proportions of Page's ResNet-9, "How to Train Your ResNet" (2018)."""

import keras
from keras import layers

from fer_tasks.models.batch_norm import BatchNormalization
from fer_tasks.models.blocks import check_sides, conv_norm_relu, probabilities

STAGES = 3  # each starts with 2 x 2 max pooling and doubles the filters


def resnet(
    input_shape: tuple[int, int, int],
    n_classes: int,
    filters: int = 32,
    blocks: int = 1,
    dropout: float = 0.3,
    norm_momentum: float = 0.99,
) -> keras.Model:
    """A convolution; three stages of max pooling, a convolution of twice the filters and residual blocks;
    global average pooling, dropout and the classes.

    `input_shape`: (M, N, C) with sides of at least 8 px; values 0..1. `filters`: of the first convolution.
    `blocks`: residual blocks per stage. All convolutions are 3 × 3 with batch norm.

    Unlike ResNet-9 it pools before a stage's first convolution, not after it; at 48 × 48 a training step
    takes a third less time.

    Raises:
        BadModel: the sides are too small.
    """
    check_sides("resnet", input_shape, 2**STAGES)
    inputs = keras.Input(input_shape)
    x = conv_norm_relu(inputs, filters, 3, norm_momentum=norm_momentum)
    for stage in range(1, STAGES + 1):
        x = conv_norm_relu(layers.MaxPooling2D()(x), filters * 2**stage, 3, norm_momentum=norm_momentum)
        for _ in range(blocks):
            x = _residual(x, norm_momentum)
    x = layers.Dropout(dropout)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, probabilities(x, n_classes), name="resnet")


def _residual(x: keras.KerasTensor, norm_momentum: float) -> keras.KerasTensor:
    filters = x.shape[-1]
    change = conv_norm_relu(x, filters, 3, norm_momentum=norm_momentum)
    change = layers.Conv2D(filters, 3, padding="same")(change)
    return layers.ReLU()(layers.Add()([x, BatchNormalization(momentum=norm_momentum)(change)]))
