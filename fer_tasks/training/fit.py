"""Fit one model and keep its best epoch by validation.

The same seed gives the same weights, however often training was interrupted and resumed.
"""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from fer_tasks.errors import UserError
from fer_tasks.settings.training import Plan
from fer_tasks.training import frozen_backbone
from fer_tasks.training.augmentation import SETS
from fer_tasks.training.distillation import targets
from fer_tasks.training.epochs import Epochs
from fer_tasks.training.feeding import Pictures, Rows, training_batches, validation_batches
from fer_tasks.training.history import history
from fer_tasks.training.optimization import compile_model
from fer_tasks.training.phases import Phase, phase_of, remaining_phases
from fer_tasks.training.seeding import seeded
from fer_tasks.training.state import Checkpoint, assign, averaged_statistics, restore_model, restore_optimizer
from fer_tasks.training.test_time_augmentation import views
from fer_tasks.training.weight_averaging import statistics, swap_in_ema_weights


class NoBackbone(UserError):
    """A model without a layer named `backbone` cannot be fine-tuned."""


class Arrays(NamedTuple):
    """Inputs as the model takes them, with their labels."""

    x_train: np.ndarray | Rows  # (n, M, N, C)
    y_train: np.ndarray  # (n,) int, or (n, classes) float32 rows that sum to 1
    x_val: np.ndarray | Rows
    y_val: np.ndarray  # (n,) int
    teacher: np.ndarray | None = None  # (n, classes): a teacher's predictions for x_train


class Fitted(NamedTuple):
    """A model with the weights of its best epoch, and its history."""

    model: keras.Model
    history: pd.DataFrame  # epoch (from 1), loss, accuracy, val_loss, val_accuracy
    best_epoch: int
    train_seconds: float


def fit(
    build: Callable[[], keras.Model],
    arrays: Arrays,
    plan: Plan,
    seed: int,
    on_epoch: Callable[[dict[str, float]], None],
    start: Checkpoint | None = None,
    save: Callable[[Checkpoint], None] | None = None,
    store: frozen_backbone.FeatureStore | None = None,
) -> Fitted:
    """Build and train a model; keep the epoch with the best validation accuracy, on a tie the lowest loss.

    The same seed and number of threads give the same weights bit for bit, even if training is interrupted:
    `save` gets a checkpoint after each epoch, and `start` is the checkpoint to resume from. `on_epoch` gets
    each row of the history. A second phase starts from the best weights of the first.

    With `store`, the head of a frozen backbone is trained on features that are computed once; checkpoints of
    that phase hold only the head. `plan.distil` requires `arrays.teacher`; validation uses only the labels.

    Raises:
        TrainingFailed: a loss became NaN or infinite.
        NoBackbone: the plan fine-tunes a model without a backbone.
    """
    with seeded(seed):
        model = build_in_precision(build, plan.precision)
    train, val = _pictures(arrays, plan, model.output_shape[-1])
    split = frozen_backbone.split_backbone(model) if store else None
    epochs = Epochs(on_epoch, save, start)
    learner = _learner(model, split, phase_of(plan, epochs.done))
    if start:
        restore_model(learner, start.arrays)
    for phase in remaining_phases(plan, epochs.done):
        begins = phase.first == epochs.done
        if begins and phase.first > 0:
            learner.set_weights(epochs.weights)
            learner = _learner(model, split, phase)
            epochs.weights = learner.get_weights()
        _compile(learner, plan, phase, train.steps)
        if not begins:
            restore_optimizer(learner, start.arrays)
        if learner is model:
            epochs.batches = partial(training_batches, train, SETS[plan.augmentation], seed)
            validation = validation_batches(val)
        else:
            features = frozen_backbone.batches(split.extractor, train, val, plan, seed, epochs.done, store)
            epochs.batches, validation = features
        _run(learner, phase, epochs, validation, train.steps)
    learner.set_weights(epochs.weights)
    return Fitted(model, history(epochs.rows), epochs.best["epoch"], epochs.seconds)


def _pictures(arrays: Arrays, plan: Plan, classes: int) -> tuple[Pictures, Pictures]:
    """The training and validation pictures with labels (n, classes); a student's also with teacher
    predictions."""
    one_hot = np.eye(classes, dtype=np.float32)
    soft = arrays.y_train if arrays.y_train.ndim == 2 else one_hot[arrays.y_train]
    train = Pictures(arrays.x_train, soft, plan.batch_size)
    if plan.distil:
        train = train._replace(y=targets(train.y, arrays.teacher, plan.distil.temperature))
    return train, Pictures(arrays.x_val, one_hot[arrays.y_val], plan.batch_size)


def _learner(model: keras.Model, split: frozen_backbone.SplitModel | None, phase: Phase) -> keras.Model:
    """The model that a phase trains: the whole one, or its head alone."""
    return split.head if split and not phase.fine_tuning else model


def _run(learner: keras.Model, phase: Phase, epochs: Epochs, validation: tf.data.Dataset, steps: int) -> None:
    """Train a compiled learner to the end of a phase."""
    learner.fit(
        epochs.batches(epochs.done),
        steps_per_epoch=steps,
        initial_epoch=epochs.done,
        epochs=phase.end,
        shuffle=False,
        verbose=0,
        callbacks=[epochs],
        validation_data=validation,
    )


def last_epoch(
    build: Callable[[], keras.Model], plan: Plan, checkpoint: Checkpoint, shared: bool = False
) -> keras.Model:
    """The model at the end of a checkpoint's epoch: the last good one of a training that failed.

    `shared`: the checkpoint was written while training on stored features.
    """
    model = build_in_precision(build, plan.precision)
    phase = phase_of(plan, checkpoint.epoch)
    learner = _learner(model, frozen_backbone.split_backbone(model) if shared else None, phase)
    _compile(learner, plan, phase, steps=1)
    restore_model(learner, checkpoint.arrays)
    if plan.ema:
        restore_optimizer(learner, checkpoint.arrays)
        swap_in_ema_weights(learner, [])
        assign(statistics(learner), averaged_statistics(checkpoint.arrays))
    return model


def unfreeze(model: keras.Model) -> None:
    """Make the backbone trainable, except for its batch norms: they stay in inference mode and keep the
    statistics that its weights were trained with.

    Raises:
        NoBackbone: the model has no layer named `backbone`.
    """
    if frozen_backbone.BACKBONE not in {layer.name for layer in model.layers}:
        raise NoBackbone(f"fine_tune: {model.name} has no backbone; leave it out, or choose model transfer")
    backbone = model.get_layer(frozen_backbone.BACKBONE)
    backbone.trainable = True
    for layer in backbone._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False


def build_in_precision(build: Callable[[], keras.Model], precision: str) -> keras.Model:
    """Build a model whose layers compute in `precision`, except those that name a dtype, as the softmax
    does."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        return build()
    finally:
        keras.config.set_dtype_policy(before)


def _compile(model: keras.Model, plan: Plan, phase: Phase, steps: int) -> None:
    if phase.fine_tuning:
        unfreeze(model)
    compile_model(model, plan, phase.learning_rate, steps * (phase.end - phase.first))


def predict(
    model: keras.Model, x: np.ndarray, batch_size: int = 64, test_time_augmentation: str = "none"
) -> np.ndarray:
    """Class probabilities of inputs (n, M, N, C), averaged over the views that a key of
    `test_time_augmentation.VIEWS` names: (n, classes) float32."""
    predictions = [model.predict(view, batch_size, verbose=0) for view in views(x, test_time_augmentation)]
    return np.mean(predictions, axis=0)


def model_bytes(model: keras.Model) -> bytes:
    """The bytes of a model's .keras file, without the optimizer, which can triple the size."""
    with tempfile.TemporaryDirectory() as folder:
        keras.Model(model.inputs, model.outputs, name=model.name).save(Path(folder) / "model.keras")
        return (Path(folder) / "model.keras").read_bytes()
