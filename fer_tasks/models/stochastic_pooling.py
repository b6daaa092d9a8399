"""Stochastic pooling."""

from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("fer_tasks")
class StochasticPooling2D(layers.Layer):
    """Zeiler & Fergus, "Stochastic Pooling for Regularization of Deep Convolutional Neural Networks" (2013).

    (n, M, N, C) to (n, M / strides, N / strides, C), rounded up: windows of `pool_size` px a side every
    `strides` px, padded with zeros, which are never chosen. Of the activations a of a window one is drawn
    with probability p = a / sum(a) in training; else their mean weighted by it, sum(p a) = sum(a²) / sum(a).
    An activation below 0 counts as 0; where all are 0, so are the outcome and its gradient. Drawn and summed
    in float32 whatever the layer's dtype; the same seed draws the same.
    """

    def __init__(self, pool_size: int = 3, strides: int = 2, seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.pool_size, self.strides, self.seed = pool_size, strides, seed
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        activations = ops.relu(ops.cast(inputs, "float32"))
        pooled = self._draw(activations) if training else self._expect(activations)
        return ops.cast(pooled, self.compute_dtype)

    def _draw(self, activations: Any) -> Any:
        windows = self._windows(activations)
        total = sum(windows)
        threshold = keras.random.uniform(ops.shape(total), seed=self.generator) * total
        below, drawn = windows[0], windows[0]
        for window in windows[1:]:  # the last one whose predecessors sum up to no more than the threshold
            drawn = ops.where(below <= threshold, window, drawn)
            below = below + window
        return drawn

    def _expect(self, activations: Any) -> Any:
        mean = ops.average_pool(activations, self.pool_size, self.strides, "same")
        of_squares = ops.average_pool(ops.square(activations), self.pool_size, self.strides, "same")
        return of_squares / ops.where(mean > 0, mean, 1.0)

    def _windows(self, x: Any) -> list[Any]:
        """The activations at each place of a window: pool_size² arrays (n, M / strides, N / strides, C)."""
        rows, columns = x.shape[1:3]
        x = ops.pad(x, [(0, 0), self._padding(rows), self._padding(columns), (0, 0)])
        size, step = self.pool_size, self.strides
        end = [step * (-(-side // step) - 1) + 1 for side in (rows, columns)]
        places = [(row, column) for row in range(size) for column in range(size)]
        return [x[:, r : r + end[0] : step, c : c + end[1] : step] for r, c in places]

    def _padding(self, side: int) -> tuple[int, int]:
        missing = max((-(-side // self.strides) - 1) * self.strides + self.pool_size - side, 0)
        return missing // 2, missing - missing // 2  # as `padding="same"` of the other poolings

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        n, rows, columns, channels = input_shape
        return n, -(-rows // self.strides), -(-columns // self.strides), channels

    def get_config(self) -> dict[str, Any]:
        own = {"pool_size": self.pool_size, "strides": self.strides, "seed": self.seed}
        return {**super().get_config(), **own}
