"""Losses, optimizers and learning-rate schedules by name."""

from collections.abc import Callable

import keras
import numpy as np
from keras.optimizers.schedules import CosineDecay

from fer_tasks.settings.training import Plan
from fer_tasks.training.distillation import accuracy_on_labels, distillation_loss
from fer_tasks.training.muon import Muon

Rate = float | CosineDecay
LOSSES: dict[str, Callable[[float], keras.Loss]] = {
    "categorical_crossentropy": lambda smoothing: keras.losses.CategoricalCrossentropy(
        label_smoothing=smoothing
    ),
    "categorical_hinge": lambda smoothing: keras.losses.CategoricalHinge(),
}
# As many iterations as `airbench94_muon`; a tenth of the rate for what AdamW updates.
MUON = {"adam_lr_ratio": 0.1, "ns_steps": 3}
OPTIMIZERS: dict[str, Callable[..., keras.Optimizer]] = {
    "adam": keras.optimizers.Adam,
    "muon": lambda rate, weight_decay, **options: Muon(
        rate, weight_decay=weight_decay, adam_weight_decay=weight_decay, **MUON, **options
    ),
    "rmsprop": keras.optimizers.RMSprop,
    "sgd": lambda rate, **options: keras.optimizers.SGD(rate, momentum=0.9, **options),
}


def _one_cycle(rate: float, steps: int) -> CosineDecay:
    """Smith & Topin, "Super-Convergence" (2018), without their cycle of the momentum: 30 % of the steps up
    from 1/25 of the rate, then down to 0."""
    up = max(1, round(0.3 * steps))
    return CosineDecay(rate / 25, max(1, steps - up), warmup_target=rate, warmup_steps=up)


SCHEDULES: dict[str, Callable[[float, int], Rate]] = {
    "constant": lambda rate, steps: rate,
    "cosine": CosineDecay,
    "one_cycle": _one_cycle,
}


def compile_model(model: keras.Model, plan: Plan, learning_rate: float, steps: int) -> None:
    """Compile a model with the plan's loss and a new optimizer, whose schedule spans `steps`."""
    rate = SCHEDULES[plan.schedule](learning_rate, steps)
    average = {"use_ema": True, "ema_momentum": plan.ema} if plan.ema else {}
    optimizer = OPTIMIZERS[plan.optimizer](rate, weight_decay=plan.weight_decay or None, **average)
    if plan.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    loss, accuracy, classes = LOSSES[plan.loss](plan.label_smoothing), "accuracy", model.output_shape[-1]
    if plan.distil:
        loss = distillation_loss(loss, plan.distil, classes)
        accuracy = accuracy_on_labels(classes)
    model.compile(optimizer, loss, metrics=[accuracy])
    # Where these make variables in the first step, the step is traced twice.
    optimizer.build(model.trainable_variables)
    nothing = np.zeros((1, classes), np.float32)
    model.compute_metrics(None, nothing, nothing)
    model.reset_metrics()
