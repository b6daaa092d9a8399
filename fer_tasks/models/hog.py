"""Histograms of oriented gradients as a layer."""

import math
from typing import Any

import keras
from keras import layers, ops

EPSILON = 1e-5  # prevents a division by 0 in a block without gradients
TIE = 1e-5  # of a bin; added so that float32 errors do not move an angle on a border to the bin below
CLIP = 0.2  # maximum of a bin in a normalised block: the "Hys" of L2-Hys


@keras.saving.register_keras_serializable("fer_tasks")
class HOG(layers.Layer):
    """Histogram of oriented gradients (Dalal & Triggs 2005), with the values of `skimage.feature.hog`.

    (n, M, N, C) images -> (n, D) vectors; with the defaults D = (M / 8 - 1)(N / 8 - 1) · 4 · 9: unsigned
    orientations without interpolation, cells of 8 × 8 px, blocks of 2 × 2 cells, L2-Hys normalisation. A
    pixel's gradient is that of the channel where it is strongest. The layer has no weights and stops
    gradients; it computes in float32 whatever its dtype.

    Raises:
        ValueError: the images are smaller than a block.
    """

    def __init__(
        self, orientations: int = 9, pixels_per_cell: int = 8, cells_per_block: int = 2, **kwargs: Any
    ):
        super().__init__(**kwargs)
        self.orientations, self.pixels_per_cell = orientations, pixels_per_cell
        self.cells_per_block = cells_per_block

    def call(self, inputs: Any) -> Any:
        image = ops.stop_gradient(ops.cast(inputs, "float32"))
        vector = self._blocks(self._histograms(*_gradients(image)))
        return ops.cast(vector, self.compute_dtype)

    def _histograms(self, rows: Any, columns: Any) -> Any:
        """Gradients (n, M, N) -> their mean magnitude by cell and orientation, (n, m, n, orientations)."""
        angle = ops.mod(ops.arctan2(rows, columns), math.pi)
        bins = ops.cast(ops.floor(angle * (self.orientations / math.pi) + TIE), "int32")
        bins = ops.minimum(bins, self.orientations - 1)  # an angle just below 0 is rounded to half a turn
        votes = ops.one_hot(bins, self.orientations) * ops.hypot(rows, columns)[..., None]
        return ops.average_pool(votes, self.pixels_per_cell, self.pixels_per_cell, "valid")

    def _blocks(self, histograms: Any) -> Any:
        """The normalised histograms of all blocks, which overlap, as one vector per image."""
        size = self.cells_per_block
        rows, columns = (side - size + 1 for side in histograms.shape[1:3])
        cells = [histograms[:, r : r + rows, c : c + columns] for r in range(size) for c in range(size)]
        blocks = ops.concatenate(cells, axis=-1)
        blocks = _normalised(ops.minimum(_normalised(blocks), CLIP))
        return ops.reshape(blocks, (-1, math.prod(blocks.shape[1:])))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, int]:
        cells = (side // self.pixels_per_cell for side in input_shape[1:3])
        blocks = [side - self.cells_per_block + 1 for side in cells]
        if min(blocks) < 1:
            smallest = self.pixels_per_cell * self.cells_per_block
            raise ValueError(f"HOG needs sides of at least {smallest} px, the size of a block")
        return input_shape[0], math.prod(blocks) * self.cells_per_block**2 * self.orientations

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        return keras.KerasTensor(self.compute_output_shape(inputs.shape), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        own = ("orientations", "pixels_per_cell", "cells_per_block")
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}


def _gradients(image: Any) -> tuple[Any, Any]:
    """Central differences down and across, (n, M, N) each, 0 at the border, of each pixel's channel with the
    strongest gradient."""
    rows = ops.pad(image[:, 2:] - image[:, :-2], [(0, 0), (1, 1), (0, 0), (0, 0)])
    columns = ops.pad(image[:, :, 2:] - image[:, :, :-2], [(0, 0), (0, 0), (1, 1), (0, 0)])
    # Not `argmax`: with TensorFlow it looks at the bits of a 0, which ONNX cannot.
    _, channel = ops.top_k(ops.square(rows) + ops.square(columns), 1)
    strongest = ops.one_hot(channel[..., 0], image.shape[-1])
    return ops.sum(rows * strongest, axis=-1), ops.sum(columns * strongest, axis=-1)


def _normalised(blocks: Any) -> Any:
    return blocks / ops.sqrt(ops.sum(ops.square(blocks), axis=-1, keepdims=True) + EPSILON**2)
