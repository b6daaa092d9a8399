"""Batch norm by one fused kernel."""

from typing import Any

import keras
from keras import layers


@keras.saving.register_keras_serializable("fer_tasks")
class BatchNormalization(layers.BatchNormalization):
    """`keras.layers.BatchNormalization` by TensorFlow's fused kernel: the same mathematics, weights and
    options in less time (`benchmarks/batch_norm.py`).

    The kernel is used for images (n, M, N, C), channels last, in float32, bfloat16 or float16. For anything
    else, and on other backends, the layer does what Keras does. Statistics are float32. The kernel returns a
    batch's variance with Bessel's correction; the correction is undone, as Keras' moving variance has none.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if mask is not None or not self._can_fuse(inputs):
            return super().call(inputs, training=training, mask=mask)
        return self._fused(inputs, bool(training and self.trainable))

    def _can_fuse(self, inputs: Any) -> bool:
        return (
            keras.backend.backend() == "tensorflow"
            and len(inputs.shape) == 4
            and self.axis in (-1, 3)
            and keras.backend.standardize_dtype(inputs.dtype) in ("float32", "bfloat16", "float16")
            and not (self.renorm or self.synchronized)
        )

    def _fused(self, inputs: Any, training: bool) -> Any:
        import tensorflow as tf  # not at the top: other backends do not need it

        moving = [tf.convert_to_tensor(self.moving_mean), tf.convert_to_tensor(self.moving_variance)]
        channels = tf.shape(moving[0])
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=tf.convert_to_tensor(self.gamma) if self.scale else tf.ones(channels),
            offset=tf.convert_to_tensor(self.beta) if self.center else tf.zeros(channels),
            mean=tf.zeros([0]) if training else moving[0],
            variance=tf.zeros([0]) if training else moving[1],
            epsilon=self.epsilon,
            is_training=training,
        )
        if training:
            count = tf.cast(tf.size(inputs) // channels[0], tf.float32)
            variance *= (count - 1) / count
            for weight, old, new in zip(
                (self.moving_mean, self.moving_variance), moving, (mean, variance), strict=True
            ):
                weight.assign(old * self.momentum + new * (1 - self.momentum))
        return outputs
