"""Building blocks that several models share."""

from collections.abc import Collection

import keras
from keras import layers

from fer_tasks.models.batch_norm import BatchNormalization
from fer_tasks.models.errors import BadModel


def conv_norm_relu(
    x: keras.KerasTensor, filters: int, side: int, padding: str = "same", norm_momentum: float = 0.99
) -> keras.KerasTensor:
    """A convolution of stride 1, batch norm and ReLU: (n, M, N, C) -> (n, M, N, filters), smaller sides with
    `padding` "valid"."""
    return norm_relu(layers.Conv2D(filters, side, padding=padding)(x), norm_momentum)


def norm_relu(x: keras.KerasTensor, norm_momentum: float) -> keras.KerasTensor:
    """Batch norm (Ioffe & Szegedy 2015) and ReLU."""
    return layers.ReLU()(BatchNormalization(momentum=norm_momentum)(x))


def probabilities(x: keras.KerasTensor, n_classes: int) -> keras.KerasTensor:
    """A dense layer and softmax, (n, D) -> (n, n_classes), in float32 even if the rest is bfloat16."""
    return layers.Dense(n_classes, activation="softmax", dtype="float32")(x)


def check_sides(name: str, input_shape: tuple[int, ...], smallest: int) -> None:
    """Raise BadModel for an image with a side below `smallest` px."""
    if min(input_shape[:2]) < smallest:
        raise BadModel(f"{name} needs sides of at least {smallest} px; this recipe gives {input_shape}")


def check_choice(option: str, value: str, choices: Collection[str]) -> None:
    """Raise BadModel for an unknown value of an option."""
    if value not in choices:
        raise BadModel(f"no {option} {value!r}; choose one of {sorted(choices)}")
