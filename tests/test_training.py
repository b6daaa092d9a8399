"""Fitting a cell: the best epoch, the same weights for the same seed, in a process that harms no other."""

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import keras
import numpy as np
import psutil
import pytest

from fer_tasks.training import fit, isolation

ROOT = Path(__file__).parents[1]
RNG = np.random.default_rng(0)
Y = RNG.integers(0, 3, 60)
X = (RNG.normal(0, 0.3, (60, 8, 8, 1)) + Y[:, None, None, None]).astype(np.float32)
ARRAYS = fit.Arrays(X[:40], Y[:40], X[40:], Y[40:])
SCHEDULE = fit.Schedule("adam", 0.01, 4, 16)


def tiny(dropout: float = 0.3) -> keras.Model:
    layers = [
        keras.layers.Flatten(),
        keras.layers.Dropout(dropout),
        keras.layers.Dense(3, activation="softmax"),
    ]
    return keras.Sequential([keras.Input((8, 8, 1)), *layers])


def fitted(seed: int = 1, **changes: object) -> fit.Fitted:
    return fit.fit(tiny, ARRAYS, SCHEDULE._replace(**changes), seed, lambda row: None)


def test_it_learns_and_tells_each_epoch():
    rows: list[dict] = []
    result = fit.fit(tiny, ARRAYS, SCHEDULE._replace(epochs=40), 1, rows.append)
    assert rows == result.history.to_dict("records") and [row["epoch"] for row in rows] == list(range(1, 41))
    assert result.history["val_accuracy"].max() > 0.6


@pytest.mark.parametrize("optimizer", fit.OPTIMIZERS)
def test_the_weights_are_those_of_the_best_epoch(optimizer):
    result = fitted(optimizer=optimizer, learning_rate=0.5, epochs=6)
    history = result.history.sort_values(["val_accuracy", "val_loss"], ascending=[False, True])
    assert result.best_epoch == history["epoch"].iloc[0]
    accuracy = (fit.predict(result.model, ARRAYS.x_val).argmax(axis=1) == ARRAYS.y_val).mean()
    assert accuracy == pytest.approx(history["val_accuracy"].iloc[0])


def test_the_same_seed_gives_the_same_weights_to_the_bit():
    one, two, other = (fitted(seed).model.get_weights() for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_loss_that_is_no_number_ends_the_cell():
    arrays = ARRAYS._replace(x_train=np.full_like(ARRAYS.x_train, np.nan))
    with pytest.raises(fit.TrainingFailed, match="epoch 1 is no number"):
        fit.fit(tiny, arrays, SCHEDULE, 1, lambda row: None)


def test_a_model_comes_back_from_its_bytes(tmp_path):
    model = fitted().model
    (tmp_path / "model.keras").write_bytes(fit.model_bytes(model))
    again = fit.load_model(tmp_path / "model.keras")
    assert np.array_equal(fit.predict(model, X), fit.predict(again, X))


# What follows runs in processes of its own: found by name, so at the top of the module.


def add(a: int, b: int, send) -> int:
    for i in range(3):
        send(i)
    return a + b


def threads_of(send) -> int:
    import tensorflow as tf

    return tf.config.threading.get_intra_op_parallelism_threads()


def fail(send) -> None:
    raise fit.TrainingFailed("the loss of epoch 3 is no number")


def fail_otherwise(send) -> None:
    {}["key"]


def die(number: int, send) -> None:
    os.kill(os.getpid(), number)


def leave(send) -> None:
    os._exit(3)


call = partial(isolation.call_in_own_process, threads=1, on_message=lambda message: None)


@pytest.mark.slow
def test_a_result_and_messages_in_order():
    messages: list[int] = []
    result = isolation.call_in_own_process(add, 2, 3, threads=1, on_message=messages.append)
    assert (result, messages) == (5, [0, 1, 2])
    assert isolation.call_in_own_process(threads_of, threads=1, on_message=print) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("function", "arguments", "error", "said"),
    [
        (fail, (), isolation.WorkerFailed, "^the loss of epoch 3 is no number$"),
        (fail_otherwise, (), isolation.WorkerFailed, "KeyError: 'key'"),
        (die, (signal.SIGKILL,), isolation.WorkerDied, "probably out of memory"),
        (die, (signal.SIGSEGV,), isolation.WorkerDied, "SIGSEGV"),
        (leave, (), isolation.WorkerDied, "status 3"),
    ],
)
def test_a_failure_is_told_in_plain_words(function, arguments, error, said):
    with pytest.raises(error, match=said):
        call(function, *arguments)


ORPHAN = """
import os, sys
sys.path.insert(0, {root!r})
from fer_tasks.training import isolation
from tests_orphan import wait
if __name__ == "__main__":
    isolation.call_in_own_process(wait, threads=1, on_message=lambda pid: print(pid, flush=True))
"""


@pytest.mark.slow
def test_the_process_ends_with_a_parent_that_is_killed(tmp_path):
    (tmp_path / "tests_orphan.py").write_text(
        "import os, time\ndef wait(send):\n    send(os.getpid()); time.sleep(600)\n"
    )
    (tmp_path / "parent.py").write_text(ORPHAN.format(root=str(ROOT)))
    parent = subprocess.Popen([sys.executable, "parent.py"], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    psutil.wait_procs([psutil.Process(child)] if psutil.pid_exists(child) else [], timeout=30)
    assert not psutil.pid_exists(child)
