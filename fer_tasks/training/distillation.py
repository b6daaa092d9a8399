"""Learning from a teacher's softened predictions beside the labels (Hinton, Vinyals & Dean, "Distilling the
Knowledge in a Neural Network", 2015)."""

from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from fer_tasks.settings.training import Distillation

SMALLEST = 1e-7  # as in Keras: smaller probabilities count as this


def targets(hard: np.ndarray, teacher: np.ndarray, temperature: float) -> np.ndarray:
    """Labels and a teacher's softened predictions side by side: (n, 2 classes) float32.

    `hard`: (n, classes), rows that sum to 1. `teacher`: (n, classes) probabilities. Both halves sum to 1 and
    are linear in the pictures' shares, so mixup can mix them as it mixes labels.
    """
    return np.concatenate([hard, ops.convert_to_numpy(soften(teacher, temperature))], axis=1)


def soften(probabilities: np.ndarray, temperature: float) -> keras.KerasTensor:
    """The softmax of logits / temperature, computed from the probabilities, whose logarithm is the logits
    less a constant: (n, classes) float32."""
    return ops.softmax(_tempered(ops.convert_to_tensor(probabilities, "float32"), temperature))


def distillation_loss(
    own: keras.Loss, distil: Distillation, classes: int
) -> Callable[[keras.KerasTensor, keras.KerasTensor], keras.KerasTensor]:
    """soft · T² · KL(teacher ‖ student), both at temperature T, + hard · the model's own loss: (n,).

    The factor T² keeps the gradient's size independent of T. For labels alone, (n, classes) as in validation,
    it is the model's own loss.
    """

    def loss(y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> keras.KerasTensor:
        alone = own.call(y_true[:, :classes], y_pred)
        if y_true.shape[1] == classes:
            return alone
        teacher = y_true[:, classes:]
        student = ops.log_softmax(_tempered(y_pred, distil.temperature))
        entropy = ops.sum(teacher * ops.log(ops.maximum(teacher, SMALLEST)), axis=1)
        divergence = entropy - ops.sum(teacher * student, axis=1)
        return distil.soft * distil.temperature**2 * divergence + distil.hard * alone

    return loss


def accuracy_on_labels(classes: int) -> keras.Metric:
    """Accuracy against the labels, ignoring the teacher."""

    def correct(y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> keras.KerasTensor:
        return keras.metrics.categorical_accuracy(y_true[:, :classes], y_pred)

    return keras.metrics.MeanMetricWrapper(correct, name="accuracy")


def _tempered(probabilities: keras.KerasTensor, temperature: float) -> keras.KerasTensor:
    return ops.log(ops.maximum(probabilities, SMALLEST)) / temperature
