"""The 2021 project's teacher for distillation."""

import keras
from keras import layers

from fer_tasks.models.backbones import backbone_features
from fer_tasks.models.blocks import conv_norm_relu, probabilities

CONVOLUTIONS = (512, 256)  # filters of the 3 x 3 convolutions
DENSE = (256, 128)  # units


def teacher(
    input_shape: tuple[int, int, int],
    n_classes: int,
    weights: str = "imagenet",
    trainable: bool = False,
    preprocessing: str = "own",
    dropout: float = 0.5,
) -> keras.Model:
    """InceptionResNetV2, two convolutions with batch norm and ReLU, global average pooling, two dense layers
    with ReLU and dropout.

    `input_shape`: (M, N, 1 or 3) with sides of at least 75 px, 140 × 140 × 3 in 2021; values 0..255.
    `weights`, `trainable` and `preprocessing` are those of `transfer`.

    The project's slides state the backbone, the input, "dnn + convolution layers" and the dropout (none, then
    0.5); the number of layers and their widths are our reading.

    Raises:
        BadModel: as `backbone_features`.
    """
    inputs = keras.Input(input_shape)
    x = backbone_features(inputs, "InceptionResNetV2", weights, trainable, preprocessing)
    for filters in CONVOLUTIONS:
        x = conv_norm_relu(x, filters, 3)
    x = layers.GlobalAveragePooling2D()(x)
    for width in DENSE:
        x = layers.Dropout(dropout)(layers.Dense(width, activation="relu")(x))
    return keras.Model(inputs, probabilities(x, n_classes), name="teacher")
