"""Fit one model: the best epoch by validation, the same weights for the same seed, however often it was cut
off."""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import pandas as pd

from fer_tasks.errors import UserError
from fer_tasks.training import frozen_backbone
from fer_tasks.training.augmentation import SETS
from fer_tasks.training.distillation import targets
from fer_tasks.training.epochs import COLUMNS, Epochs
from fer_tasks.training.feeding import Pictures, Rows, training_batches, validation_batches
from fer_tasks.training.optimization import compile_model
from fer_tasks.training.plan import Phase, Plan, phases
from fer_tasks.training.seeding import seeded
from fer_tasks.training.state import Checkpoint, assign, averaged_statistics, restore_model, restore_optimizer
from fer_tasks.training.test_time_augmentation import views
from fer_tasks.training.weight_averaging import statistics, swap_in_ema_weights


class NoBackbone(UserError):
    """A model without a layer named `backbone` is to be fine-tuned."""


class Arrays(NamedTuple):
    """Inputs as the model takes them, classes as integers."""

    x_train: np.ndarray | Rows  # (n, M, N, C)
    y_train: np.ndarray  # (n,) int
    x_val: np.ndarray | Rows
    y_val: np.ndarray
    teacher: np.ndarray | None = None  # (n, classes): what a teacher says of x_train, where there is one


class Fitted(NamedTuple):
    """A model with the weights of its best epoch, and how it came there."""

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
    share: frozen_backbone.FeatureStore | None = None,
) -> Fitted:
    """Build and train a model; keeps the weights of the epoch with the highest validation accuracy (of equals
    the one with the lowest validation loss).

    The same seed and number of threads give the same weights, bit for bit, also when training goes on from a
    checkpoint: `save` gets one at the end of each epoch, `start` is the last. `on_epoch` gets each row of the
    history as it is made. A second phase begins with the best weights of the first. With `share` the head of
    a frozen backbone is trained on features computed once, and a checkpoint is of the head alone, as long as
    the backbone is frozen. A plan with a distillation wants a teacher in `arrays`; validation goes by the
    labels alone. Raises TrainingFailed when a loss is NaN or infinite, NoBackbone where there is none to
    fine-tune.
    """
    with seeded(seed):
        model = build_in_precision(build, plan.precision)
    train, val = (
        Pictures(x, np.eye(model.output_shape[-1], dtype=np.float32)[y], plan.batch_size)
        for x, y in ((arrays.x_train, arrays.y_train), (arrays.x_val, arrays.y_val))
    )
    if plan.distillation:
        train = train._replace(y=targets(train.y, arrays.teacher, plan.distillation.temperature))
    halves = frozen_backbone.split_backbone(model) if share else None
    learner = _learner(model, halves, _phase_of(plan, start.epoch if start else 0))
    if start:
        restore_model(learner, start.arrays)
    epochs = Epochs(on_epoch, save, start)
    for phase in phases(plan):
        done = len(epochs.rows)
        if done >= phase.end:
            continue
        if phase.first == done > 0:
            learner.set_weights(epochs.weights)
            learner = _learner(model, halves, phase)
            epochs.weights = learner.get_weights()
        _compile(learner, plan, phase, train.steps)
        if phase.first < done:
            restore_optimizer(learner, start.arrays)
        if learner is model:
            epochs.batches = partial(training_batches, train, SETS[plan.augmentation], seed)
            known = validation_batches(val)
        else:
            epochs.batches, known = frozen_backbone.batches(
                halves.extractor, train, val, plan, seed, done, share
            )
        learner.fit(
            epochs.batches(done),
            steps_per_epoch=train.steps,
            initial_epoch=done,
            epochs=phase.end,
            shuffle=False,
            verbose=0,
            callbacks=[epochs],
            validation_data=known,
        )
    learner.set_weights(epochs.weights)
    return Fitted(model, history(epochs.rows), epochs.best["epoch"], epochs.seconds)


def _learner(model: keras.Model, halves: frozen_backbone.SplitModel | None, phase: Phase) -> keras.Model:
    """What is trained in a phase: the model, or its head alone."""
    return halves.head if halves and not phase.fine_tuning else model


def _phase_of(plan: Plan, epochs: int) -> Phase:
    """The phase that so many finished epochs end in."""
    return next(phase for phase in phases(plan) if epochs <= phase.end)


def history(rows: list[dict[str, float]]) -> pd.DataFrame:
    """The rows of a history as a table."""
    return pd.DataFrame(rows, columns=COLUMNS)


def last_epoch(
    build: Callable[[], keras.Model], plan: Plan, checkpoint: Checkpoint, shared: bool = False
) -> keras.Model:
    """The model as it was at the end of a checkpoint's epoch: what is left of a training that failed.

    `shared`: features were.
    """
    model = build_in_precision(build, plan.precision)
    phase = _phase_of(plan, checkpoint.epoch)
    learner = _learner(model, frozen_backbone.split_backbone(model) if shared else None, phase)
    _compile(learner, plan, phase, steps=1)
    restore_model(learner, checkpoint.arrays)
    if plan.ema:
        restore_optimizer(learner, checkpoint.arrays)
        swap_in_ema_weights(learner, [])
        assign(statistics(learner), averaged_statistics(checkpoint.arrays))
    return model


def unfreeze(model: keras.Model) -> None:
    """Let the backbone learn, but for its batch norms: they stay in inference mode, with the statistics that
    its weights are used to.

    Raises NoBackbone.
    """
    if frozen_backbone.BACKBONE not in {layer.name for layer in model.layers}:
        raise NoBackbone(f"fine_tune: {model.name} has no backbone; leave it out, or choose model transfer")
    backbone = model.get_layer(frozen_backbone.BACKBONE)
    backbone.trainable = True
    for layer in backbone._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False


def build_in_precision(build: Callable[[], keras.Model], precision: str) -> keras.Model:
    """Build a model whose layers compute in `precision`, but for those that say otherwise, as its softmax
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
    """Class probabilities of inputs (n, M, N, C), their mean over a set of `views.VIEWS`: (n, classes)
    float32."""
    said = [model.predict(seen, batch_size, verbose=0) for seen in views(x, test_time_augmentation)]
    return np.mean(said, axis=0)


def model_bytes(model: keras.Model) -> bytes:
    """The bytes of a model's .keras file, without its optimizer, which may be three times as large."""
    with tempfile.TemporaryDirectory() as folder:
        keras.Model(model.inputs, model.outputs, name=model.name).save(Path(folder) / "model.keras")
        return (Path(folder) / "model.keras").read_bytes()
