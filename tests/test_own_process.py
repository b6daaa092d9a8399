"""A process of its own: results and messages come back, failures are told in plain words."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextvars import copy_context
from pathlib import Path

import numpy as np
import psutil
import pytest

from fer_tasks.training.epochs import TrainingFailed
from flows.engine import own_process
from flows.engine.own_process import OutOfMemory, WorkerDied, WorkerFailed, WorkerKilled, sparing_memory

ROOT = Path(__file__).parents[1]

# What follows runs in processes of its own: found by name, so at the top of the module.


def add(a: int, b: int, send) -> int:
    for i in range(3):
        send(i)
    return a + b


def threads_of(send) -> int:
    import tensorflow as tf

    return tf.config.threading.get_intra_op_parallelism_threads()


def fail(send) -> None:
    raise TrainingFailed("the loss of epoch 3 is no number")


def fail_otherwise(send) -> None:
    {}["key"]


def want_too_much(send) -> None:
    np.ones(2**50)


def want_too_much_of_tensorflow(send) -> None:
    import tensorflow as tf

    tf.zeros([2**45])


def die(number: int, send) -> None:
    os.kill(os.getpid(), number)


def leave(send) -> None:
    os._exit(3)


def talk(send) -> None:
    while True:
        send("an epoch")


def call(function: Callable, *arguments: object, **options: object) -> object:
    return own_process.call_in_own_process(
        f"{__name__}:{function.__name__}", *arguments, threads=1, **options
    )


@pytest.mark.slow
def test_a_result_and_messages_in_order():
    messages: list[int] = []
    result = call(add, 2, 3, on_message=messages.append)
    assert (result, messages) == (5, [0, 1, 2])
    assert call(threads_of) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("function", "arguments", "error", "said"),
    [
        (fail, (), WorkerFailed, "^the loss of epoch 3 is no number$"),
        (fail_otherwise, (), WorkerFailed, "KeyError: 'key'"),
        (want_too_much, (), OutOfMemory, "^out of memory: "),
        (want_too_much_of_tensorflow, (), OutOfMemory, "^out of memory: "),
        (die, (signal.SIGKILL,), WorkerKilled, "probably out of memory"),
        (die, (signal.SIGSEGV,), WorkerDied, "SIGSEGV"),
        (leave, (), WorkerDied, "status 3"),
    ],
)
def test_a_failure_is_told_in_plain_words(function, arguments, error, said):
    with pytest.raises(error, match=said):
        call(function, *arguments)


@pytest.mark.slow
def test_a_run_that_fails_starts_no_process_more_and_a_later_one_does():
    with pytest.raises(KeyboardInterrupt), own_process.ending_together():
        of_the_run = copy_context()  # what Prefect gives a task that has been submitted
        raise KeyboardInterrupt
    with pytest.raises(WorkerDied, match="told to end"):
        of_the_run.run(call, add, 2, 3)
    with own_process.ending_together():
        assert call(add, 2, 3) == 5
    assert call(add, 2, 3) == 5


@pytest.mark.slow
def test_a_process_that_never_stops_talking_ends_with_its_run(monkeypatch):
    messages: list[str] = []
    monkeypatch.setattr(own_process, "_is_forgotten", lambda: len(messages) >= 3)
    with pytest.raises(WorkerDied, match="told to end"):
        call(talk, on_message=messages.append)
    assert len(messages) == 3


ORPHAN = """
import os, sys
sys.path.insert(0, {root!r})
from flows.engine import own_process
if __name__ == "__main__":
    report = lambda pid: print(pid, flush=True)
    own_process.call_in_own_process("tests_orphan:wait", threads=1, on_message=report)
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


def attempts(*outcomes: Exception | str) -> tuple[list[int], list[str], object]:
    """The batch sizes that were tried, what was said, and how it ended."""
    tried: list[int] = []
    said: list[str] = []

    def train(batch_size: int) -> str:
        tried.append(batch_size)
        outcome = outcomes[len(tried) - 1]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    try:
        end = sparing_memory(train, 32, said.append)
    except WorkerFailed as error:
        end = error
    except WorkerDied as error:
        end = error
    return tried, said, end


KILLED, NO_MEMORY, CRASHED = WorkerKilled("killed"), OutOfMemory("out of memory"), WorkerDied("crashed")


@pytest.mark.parametrize(
    ("outcomes", "tried", "end"),
    [
        (["done"], [32], ("done", 32)),
        ([KILLED, "done"], [32, 32], ("done", 32)),
        ([NO_MEMORY, "done"], [32, 16], ("done", 16)),
        ([KILLED, KILLED, "done"], [32, 32, 16], ("done", 16)),
        ([KILLED, NO_MEMORY, KILLED], [32, 32, 16], KILLED),
        ([NO_MEMORY, NO_MEMORY], [32, 16], NO_MEMORY),
        ([CRASHED], [32], CRASHED),
    ],
)
def test_the_batch_is_halved_once_where_the_memory_does_not_suffice(outcomes, tried, end):
    got, said, ended = attempts(*outcomes)
    assert (got, ended) == (tried, end) and len(said) == len(tried) - 1
