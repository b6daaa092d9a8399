"""Fitting a cell: the best epoch, and the same weights for the same seed, however often it was cut off."""

import os
import random
import signal
from pathlib import Path

import keras
import numpy as np
import pytest

from fer_tasks.settings.training import FineTune, Plan
from fer_tasks.storage.checkpoints import read_checkpoint, write_checkpoint
from fer_tasks.training import fit
from fer_tasks.training.epochs import TrainingFailed
from fer_tasks.training.feeding import Rows
from fer_tasks.training.optimization import OPTIMIZERS
from fer_tasks.training.state import Checkpoint
from flows.engine import own_process

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
Y = RNG.integers(0, 3, 60)
X = (RNG.normal(0, 0.3, (60, 8, 8, 1)) + Y[:, None, None, None]).astype(np.float32).clip(0, 2) / 2
ARRAYS = fit.Arrays(X[:40], Y[:40], X[40:], Y[40:])
PLAN = Plan(optimizer="adam", learning_rate=0.01, epochs=4, batch_size=16)
ALL_ON = Plan(
    optimizer="adam",
    learning_rate=0.01,
    epochs=3,
    batch_size=16,
    label_smoothing=0.1,
    schedule="one_cycle",
    weight_decay=0.01,
    ema=0.9,
    augmentation="strong",
    fine_tune=FineTune(learning_rate=0.001, epochs=3),
    precision="mixed_bfloat16",
)


def tiny() -> keras.Model:
    layers = [keras.layers.Flatten(), keras.layers.Dropout(0.3), softmax()]
    return keras.Sequential([keras.Input((8, 8, 1)), *layers])


def with_backbone() -> keras.Model:
    layers = [keras.layers.Conv2D(4, 3, name="conv"), keras.layers.BatchNormalization(name="norm")]
    backbone = keras.Sequential([keras.Input((8, 8, 1)), *layers], name="backbone")
    backbone.trainable = False
    inputs = keras.Input((8, 8, 1))
    features = keras.layers.Dropout(0.3)(keras.layers.Flatten()(backbone(inputs)))
    return keras.Model(inputs, softmax()(features))


def softmax() -> keras.Layer:
    return keras.layers.Dense(3, activation="softmax", dtype="float32")  # as fer_tasks.models have it


def fitted(seed: int = 1, **changes: object) -> fit.Fitted:
    return fit.fit(tiny, ARRAYS, PLAN.model_copy(update=changes), seed, lambda row: None)


def same(one: keras.Model, two: keras.Model) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one.get_weights(), two.get_weights(), strict=True))


def test_it_learns_and_tells_each_epoch():
    rows: list[dict] = []
    result = fit.fit(tiny, ARRAYS, PLAN.model_copy(update={"epochs": 40}), 1, rows.append)
    assert rows == result.history.to_dict("records") and [row["epoch"] for row in rows] == list(range(1, 41))
    assert result.history["val_accuracy"].max() > 0.6


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("ema", [0, 0.8])
def test_the_weights_are_those_of_the_best_epoch(optimizer, ema):
    result = fitted(optimizer=optimizer, learning_rate=0.5, epochs=6, ema=ema)
    history = result.history.sort_values(["val_accuracy", "val_loss"], ascending=[False, True])
    assert result.best_epoch == history["epoch"].iloc[0]
    accuracy = (fit.predict(result.model, ARRAYS.x_val).argmax(axis=1) == ARRAYS.y_val).mean()
    assert accuracy == pytest.approx(history["val_accuracy"].iloc[0])


def test_the_moving_average_is_validated_and_does_not_touch_what_learns():
    averaged, plain = fitted(ema=0.9).history, fitted().history
    assert averaged[["loss", "accuracy"]].equals(plain[["loss", "accuracy"]])
    assert not averaged["val_loss"].equals(plain["val_loss"])


def test_the_same_seed_gives_the_same_weights_to_the_bit():
    one, two, other = (fitted(seed).model for seed in (1, 1, 2))
    assert same(one, two) and not same(one, other)


def test_they_are_the_same_when_another_thread_draws_from_the_random_generator_meanwhile():
    def disturbed() -> keras.Model:
        random.random()  # as websockets does for a ping of Prefect's connection
        return tiny()

    assert same(fit.fit(disturbed, ARRAYS, PLAN, 1, lambda row: None).model, fitted().model)


def test_training_goes_on_from_every_checkpoint_to_the_same_weights_to_the_bit():
    saved: list[Checkpoint] = []
    whole = fit.fit(with_backbone, ARRAYS, ALL_ON, 1, lambda row: None, save=saved.append)
    assert [checkpoint.epoch for checkpoint in saved] == [1, 2, 3, 4, 5, 6]
    for checkpoint in saved:
        rows: list[dict] = []
        again = fit.fit(with_backbone, ARRAYS, ALL_ON, 1, rows.append, start=checkpoint)
        assert [row["epoch"] for row in rows] == list(range(checkpoint.epoch + 1, 7))
        assert same(again.model, whole.model) and again.history.equals(whole.history)


def test_fine_tuning_teaches_the_backbone_but_not_its_batch_norms():
    plan = PLAN.model_copy(update={"epochs": 2, "fine_tune": FineTune(learning_rate=0.01, epochs=1)})
    saved: list[Checkpoint] = []
    fit.fit(with_backbone, ARRAYS, plan, 1, lambda row: None, save=saved.append)
    names = [variable.path for variable in with_backbone().variables]
    changed = {
        name.partition("/")[2]
        for i, name in enumerate(names)
        if name.startswith("backbone/")
        and not np.array_equal(saved[1].arrays[f"model.{i}"], saved[2].arrays[f"model.{i}"])
    }
    assert changed == {"conv/kernel", "conv/bias"}
    with pytest.raises(fit.NoBackbone, match="has no backbone"):
        fitted(fine_tune=FineTune(learning_rate=0.01, epochs=1))


def test_bfloat16_layers_float32_weights_and_softmax():
    model = fit.fit(
        with_backbone, ARRAYS, PLAN.model_copy(update={"precision": "mixed_bfloat16"}), 1, lambda row: None
    ).model
    assert model.get_layer("backbone").get_layer("conv").compute_dtype == "bfloat16"
    assert model.layers[-1].compute_dtype == "float32" and model(X[:2]).dtype == "float32"
    assert {str(weight.dtype) for weight in model.weights} == {"float32"}
    assert keras.config.dtype_policy().name == "float32"


def test_a_loss_that_is_no_number_ends_the_cell():
    arrays = ARRAYS._replace(x_train=np.full_like(ARRAYS.x_train, np.nan))
    with pytest.raises(TrainingFailed, match="became NaN or infinite in epoch 1;"):
        fit.fit(tiny, arrays, PLAN, 1, lambda row: None)


class Poisoned(Rows):
    """Rows that are no numbers any more after some batches."""

    left = 20

    def __getitem__(self, chosen: np.ndarray) -> np.ndarray:
        self.left -= 1
        return super().__getitem__(chosen) * (1 if self.left > 0 else np.nan)


@pytest.mark.parametrize("ema", [0, 0.8])
def test_the_last_good_epoch_is_left_of_a_training_that_failed(ema):
    arrays = ARRAYS._replace(x_train=Poisoned(X, np.arange(40)))
    plan, saved = PLAN.model_copy(update={"epochs": 20, "ema": ema}), []
    with pytest.raises(TrainingFailed) as failure:
        fit.fit(tiny, arrays, plan, 1, lambda row: None, save=saved.append)
    last = saved[-1]
    assert f"in epoch {last.epoch + 1};" in str(failure.value) and last.epoch >= 5
    model = fit.last_epoch(tiny, plan, last)
    accuracy = (fit.predict(model, ARRAYS.x_val).argmax(axis=1) == ARRAYS.y_val).mean()
    assert accuracy == pytest.approx(last.rows[-1]["val_accuracy"])


def test_a_model_comes_back_from_its_bytes_without_its_optimizer(tmp_path):
    for build, plan in ((tiny, PLAN), (with_backbone, ALL_ON)):
        model = fit.fit(build, ARRAYS, plan, 1, lambda row: None).model
        (tmp_path / "model.keras").write_bytes(fit.model_bytes(model))
        again = keras.saving.load_model(tmp_path / "model.keras")
        assert np.array_equal(fit.predict(model, X), fit.predict(again, X))
        assert not again.compiled


# What follows runs in a process of its own: found by name, so at the top of the module.


def train(file: Path, send) -> list[np.ndarray]:
    send(os.getpid())
    found = read_checkpoint(file, "print")
    start = Checkpoint(found[0]["rows"], found[0]["seconds"], found[1]) if found else None

    def save(checkpoint: Checkpoint) -> None:
        about = {"fingerprint": "print", "rows": checkpoint.rows, "seconds": checkpoint.seconds}
        write_checkpoint(file, about, checkpoint.arrays)

    return fit.fit(with_backbone, ARRAYS, ALL_ON, 1, send, start, save).model.get_weights()


@pytest.mark.parametrize("epoch", [2, 4])
def test_a_process_that_is_killed_goes_on_and_ends_with_the_same_weights_to_the_bit(tmp_path, epoch):
    pids: list[int] = []
    told: list[int] = []

    def kill(message: int | dict) -> None:
        if isinstance(message, int):
            pids.append(message)
            return
        told.append(message["epoch"])
        if told == list(range(1, epoch + 1)):
            os.kill(pids[-1], signal.SIGKILL)

    def run(file: Path, on_message) -> list[np.ndarray]:
        return own_process.call_in_own_process(
            f"{__name__}:train", tmp_path / file, threads=1, on_message=on_message
        )

    whole = run("whole.npz", lambda message: None)
    with pytest.raises(own_process.WorkerKilled):
        run("cut.npz", kill)
    again = run("cut.npz", kill)
    assert told[epoch] > epoch, "finished epochs are not trained again"
    assert all(np.array_equal(a, b) for a, b in zip(whole, again, strict=True))
