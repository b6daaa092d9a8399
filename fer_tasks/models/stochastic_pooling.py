"""Stochastic pooling as a layer."""

from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("fer_tasks")
class StochasticPooling2D(layers.Layer):
    """Zeiler & Fergus, "Stochastic Pooling for Regularization of Deep Convolutional Neural Networks" (2013).

    (n, M, N, C) -> (n, M / strides, N / strides, C), rounded up: windows of `pool_size` px per side every
    `strides` px, padded with zeros, which are never chosen. In training, one of a window's activations a is
    drawn with probability p = a / sum(a); in inference, the output is their mean weighted by p, sum(p a) =
    sum(a²) / sum(a). Negative activations count as 0; if all are 0, so are the output and its gradient.
    Computed in float32 whatever the layer's dtype. The same `seed` draws the same.
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
        for window in windows[1:]:  # draws the last one whose predecessors sum up to at most the threshold
            drawn = ops.where(below <= threshold, window, drawn)
            below = below + window
        return drawn

    def _expect(self, activations: Any) -> Any:
        mean = ops.average_pool(activations, self.pool_size, self.strides, "same")
        of_squares = ops.average_pool(ops.square(activations), self.pool_size, self.strides, "same")
        return of_squares / ops.where(mean > 0, mean, 1.0)

    def _windows(self, x: Any) -> list[Any]:
        """The activations at each position of a window: pool_size² arrays (n, M / strides, N / strides, C).

        Rows and columns are first separated by their remainder modulo `strides`. The slices that follow then
        have no stride; slices with one are slow in TensorFlow's CPU kernel.
        """
        size, step = self.pool_size, self.strides
        pads, (rows, columns) = zip(*(self._padding(side) for side in x.shape[1:3]), strict=True)
        x = ops.pad(x, [(0, 0), *pads, (0, 0)])
        apart = [
            ops.unstack(ops.reshape(row, (-1, row.shape[1], row.shape[2] // step, step, x.shape[3])), step, 3)
            for row in ops.unstack(ops.reshape(x, (-1, x.shape[1] // step, step, *x.shape[2:])), step, 2)
        ]
        places = [(row, column) for row in range(size) for column in range(size)]
        return [
            apart[r % step][c % step][:, r // step : r // step + rows, c // step : c // step + columns]
            for r, c in places
        ]

    def _padding(self, side: int) -> tuple[tuple[int, int], int]:
        """The zeros before and after a side, up to whole strides, and the number of windows along it."""
        out = -(-side // self.strides)
        before = max((out - 1) * self.strides + self.pool_size - side, 0) // 2  # as Keras pads "same"
        whole = self.strides * (out + -(-self.pool_size // self.strides) - 1)
        return (before, max(whole - side - before, 0)), out

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        n, rows, columns, channels = input_shape
        return n, -(-rows // self.strides), -(-columns // self.strides), channels

    def get_config(self) -> dict[str, Any]:
        own = {"pool_size": self.pool_size, "strides": self.strides, "seed": self.seed}
        return {**super().get_config(), **own}
