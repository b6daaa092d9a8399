"""What a student learns beside the labels: the answers of a teacher, softened (Hinton, Vinyals & Dean,
"Distilling the Knowledge in a Neural Network", 2015)."""

from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from fer_tasks.training.plan import Distillation

SMALLEST = 1e-7  # as Keras: below it a probability has no logarithm worth having


def targets(hard: np.ndarray, teacher: np.ndarray, temperature: float) -> np.ndarray:
    """Labels and softened answers of a teacher side by side: (n, 2 classes) float32.

    `hard`: (n, classes) that sum to 1. `teacher`: (n, classes) probabilities. Both halves sum to 1 and are
    linear in the pictures' shares, so mixup mixes them as it mixes labels.
    """
    return np.concatenate([hard, ops.convert_to_numpy(soften(teacher, temperature))], axis=1)


def soften(probabilities: np.ndarray, temperature: float) -> keras.KerasTensor:
    """The softmax of logits / temperature, from their softmax: logits less a constant are its logarithm.
    (n, classes), float32."""
    return ops.softmax(_tempered(ops.convert_to_tensor(probabilities, "float32"), temperature))


def distillation_loss(
    own: keras.Loss, plan: Distillation, classes: int
) -> Callable[[keras.KerasTensor, keras.KerasTensor], keras.KerasTensor]:
    """soft · T² · KL(teacher ‖ student), both at temperature T, + hard · the model's own loss: (n,).

    The factor T² keeps the gradient's size whatever T is. Of labels without a teacher's answers, (n, classes)
    as validation has them, it is the own loss.
    """

    def loss(y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> keras.KerasTensor:
        alone = own.call(y_true[:, :classes], y_pred)
        if y_true.shape[1] == classes:
            return alone
        teacher = y_true[:, classes:]
        student = ops.log_softmax(_tempered(y_pred, plan.temperature))
        entropy = ops.sum(teacher * ops.log(ops.maximum(teacher, SMALLEST)), axis=1)
        divergence = entropy - ops.sum(teacher * student, axis=1)
        return plan.soft * plan.temperature**2 * divergence + plan.hard * alone

    return loss


def accuracy_on_labels(classes: int) -> keras.Metric:
    """The accuracy by the labels alone."""

    def right(y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> keras.KerasTensor:
        return keras.metrics.categorical_accuracy(y_true[:, :classes], y_pred)

    return keras.metrics.MeanMetricWrapper(right, name="accuracy")


def _tempered(probabilities: keras.KerasTensor, temperature: float) -> keras.KerasTensor:
    return ops.log(ops.maximum(probabilities, SMALLEST)) / temperature
