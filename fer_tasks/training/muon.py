"""Muon for convolutions: Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024)."""

from collections.abc import Callable

import keras
from keras import KerasTensor, ops


class Muon(keras.optimizers.Muon):
    """Keras' Muon, for kernels of convolutions in place of those of dense layers; AdamW for everything else.

    A kernel (height, width, C, filters) is updated as the matrix (height · width · C, filters), as Jordan's
    `airbench94_muon` does: its momentum's nearest semi-orthogonal matrix, to the root mean square of
    `rms_rate`.
    """

    def _should_use_adamw(self, variable: keras.Variable) -> bool:
        return len(variable.shape) != 4

    def zeropower_via_newtonschulz5(self, x: KerasTensor, steps: int) -> KerasTensor:
        return _as_matrix(lambda matrix: super(Muon, self).zeropower_via_newtonschulz5(matrix, steps), x)

    def lr_adjust(self, x: KerasTensor) -> KerasTensor:
        return _as_matrix(super().lr_adjust, x)


def _as_matrix(change: Callable[[KerasTensor], KerasTensor], x: KerasTensor) -> KerasTensor:
    return ops.reshape(change(ops.reshape(x, (-1, x.shape[-1]))), x.shape)
