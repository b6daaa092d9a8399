"""Gradient-weighted class activation maps (Grad-CAM; Selvaraju et al., ICCV 2017)."""

import keras
import numpy as np
import tensorflow as tf


class NoFeatureMaps(ValueError):
    """A model without feature maps, or whose last layer is not dense, has no Grad-CAM."""


def grad_cam(model: keras.Model, x: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Heat maps of the evidence for a class in each input.

    `x`: (n, M, N, C), as the model takes it. `classes`: (n,) int, the class of each map. Returns (n, m, n')
    float32, 0..1, of the size of the model's last feature maps: 1 where the evidence is strongest, 0 where
    there is none. A map is the ReLU of the feature maps' sum, each weighted by the mean gradient of the
    class's score before the softmax.

    Raises:
        NoFeatureMaps: the model has no feature maps, or its last layer is not dense.
    """
    maps, head = _last_maps(model), model.layers[-1]
    if not isinstance(head, keras.layers.Dense):
        raise NoFeatureMaps(f"the last layer of {model.name} is not dense: it has no scores before a softmax")
    body = keras.Model(model.inputs[0], [maps, head.input])
    with tf.GradientTape() as tape:
        seen, features = body(x, training=False)
        scores = tf.matmul(tf.cast(features, tf.float32), head.kernel) + head.bias
        chosen = tf.gather(scores, classes, batch_dims=1)
    weights = tf.reduce_mean(tape.gradient(chosen, seen), axis=(1, 2), keepdims=True)
    heat = tf.nn.relu(tf.reduce_sum(tf.cast(weights * seen, tf.float32), axis=-1)).numpy()
    return heat / np.maximum(heat.max(axis=(1, 2), keepdims=True), np.finfo(np.float32).tiny)


def _last_maps(model: keras.Model) -> keras.KerasTensor:
    """The output of the last layer with weights and feature maps, after its activation and before pooling."""
    # A nested model's `output` belongs to its own graph; its node has the tensor in this model's graph.
    outputs = [(layer, layer._inbound_nodes[-1].outputs[0]) for layer in model.layers]
    maps = [(layer, tensor) for layer, tensor in outputs if len(tensor.shape) == 4]
    weighted = [tensor for layer, tensor in maps if layer.weights]
    if not weighted:
        raise NoFeatureMaps(f"{model.name} has no layer that gives feature maps")
    return [tensor for _, tensor in maps if tensor.shape == weighted[-1].shape][-1]
