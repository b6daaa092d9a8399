"""The network that this program has as a backbone: `pretrained/`, without its pooling and its classes."""

import keras
from keras import layers

from fer_tasks.models.errors import BadModel
from fer_tasks.storage.model_folder import BRING_BACK, PRETRAINED, BadModelFolder, read_keras

PIXEL = 255  # the largest value of the pictures that a backbone takes


def pretrained(input_shape: tuple[int, int, int], name: str) -> keras.Model:
    """The network up to its last feature maps: pictures (n, M, N, 1 or 3), 0..255, in, (n, m, n, C) out.

    `input_shape`: of the sides that the network has learnt from. RGB becomes grey by ITU-R BT.601, as by the
    recipe step `gray`. Its batch norms are those of the file, in float32 also where the rest is bfloat16.

    Raises:
        BadModel: the folder is missing, damaged or of a newer schema, or the network takes another shape.
    """
    try:
        file, info = read_keras(PRETRAINED)
    except BadModelFolder as error:
        raise BadModel(f"backbone pretrained: {error}; {BRING_BACK}") from None
    height, width, _ = info["input"]["shape"]
    if input_shape[:2] != (height, width):
        problem = f"pretrained takes pictures of {height} x {width} px; this recipe gives {input_shape}"
        raise BadModel(f"{problem}: take recipe gray48, or one that ends with `resize` to {height} px")
    network = keras.saving.load_model(file)
    pooling = next(layer for layer in network.layers if isinstance(layer, layers.GlobalAveragePooling2D))
    body = keras.Model(network.input, pooling.input, name="pretrained")
    inputs = keras.Input(input_shape)
    grey = inputs if input_shape[2] == 1 else keras.ops.image.rgb_to_grayscale(inputs)
    return keras.Model(inputs, body(layers.Rescaling(info["input"]["range"][1] / PIXEL)(grey)), name=name)
