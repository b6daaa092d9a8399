"""Run a function in a process of its own: seeds, memory and crashes of one cell touch no other."""

import multiprocessing
import os
import pkgutil
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from fer_tasks.errors import UserError

Result = TypeVar("Result")
# A fork of a process that has imported TensorFlow takes 0.2 s in place of 8, and is safe as long as that
# process has computed nothing. On macOS a process that has loaded the system's libraries must not be forked.
_CONTEXT = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
_CONTEXT.set_forkserver_preload(["cv2", "keras", "tensorflow"])
_starting = threading.Lock()
ASKS_EVERY = 1.0  # s, whether the run was told to end
_told_to_end: ContextVar[threading.Event | None] = ContextVar("told to end", default=None)


class WorkerDied(UserError):
    """The process ended without a result: killed, out of memory, or crashed."""


class WorkerKilled(WorkerDied):
    """The process got signal 9: by a person, or by a system that is out of memory."""


class WorkerFailed(UserError):
    """The function raised; the message names the error."""


class OutOfMemory(WorkerFailed):
    """The function could not get the memory it asked for."""


def call_in_own_process(
    function: str,
    *arguments: Any,
    threads: int,
    on_message: Callable[[Any], None] = lambda message: None,
) -> Any:
    """Call `function(*arguments, send)` in a new process whose TensorFlow and OpenCV have `threads` threads.

    `function` is named as "package.module:name", so that only the new process imports the module, and
    TensorFlow with it. What it passes to `send` reaches `on_message` here while it runs. The process ends
    with its parent, also if the parent is killed.

    Raises:
        WorkerFailed: the function raised; the message names the error.
        OutOfMemory: it could not get memory.
        WorkerKilled: signal 9 ended the process.
        WorkerDied: the process ended without a result, or the run was told to end (`ending_together`).
    """
    here, there = _CONTEXT.Pipe(duplex=False)
    process = _CONTEXT.Process(
        target=_serve, args=(there, dict(os.environ), threads, function, arguments), daemon=True
    )
    with _starting:
        check_not_told_to_end()
        process.start()
    there.close()
    try:
        while True:
            check_not_told_to_end()
            try:
                if not here.poll(ASKS_EVERY):
                    continue
                kind, value = here.recv()
            except (EOFError, OSError):  # OSError: it died in the middle of a message
                process.join()
                raise _death(process.exitcode) from None
            if kind == "result":
                return value
            if kind == "error":
                raise WorkerFailed(value)
            if kind == "memory":
                raise OutOfMemory(value)
            on_message(value)
    finally:
        process.terminate()
        process.join()


@contextmanager
def ending_together() -> Iterator[None]:
    """Where the block fails, processes of `call_in_own_process` end, and its thread and those that have its
    context start no more: the run was told to end, or cannot continue. A later run may start some."""
    told = threading.Event()
    before = _told_to_end.set(told)
    try:
        yield
    except BaseException:  # Ctrl-C and a full disk, too
        with _starting:
            told.set()
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    finally:
        _told_to_end.reset(before)


def check_not_told_to_end() -> None:
    """Raise WorkerDied where the block of `ending_together` that this belongs to has failed, or the run that
    has sent this task to a Dask worker is gone."""
    told = _told_to_end.get()
    if told and told.is_set() or _is_forgotten():
        raise WorkerDied("the run was told to end")


def _is_forgotten() -> bool:
    """Is this a task on a Dask worker for which nobody waits any more? Dask ends none that has begun."""
    if "distributed" not in sys.modules:
        return False
    from distributed import get_worker

    try:
        worker = get_worker()
    except ValueError:  # this is no worker
        return False
    task = worker.state.tasks.get(worker.get_current_task())
    return task is None or task.state == "cancelled"


def _serve(
    there: Connection,
    environment: dict[str, str],
    threads: int,
    function: str,
    arguments: tuple[Any, ...],
) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ.clear()  # as the caller's is now, not as it was when the fork server started
    os.environ.update(environment)
    import cv2  # here, so that only this process pays for them
    import tensorflow as tf

    cv2.setNumThreads(threads)
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)  # else the first process takes all of it
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    try:
        call = pkgutil.resolve_name(function)
        there.send(("result", call(*arguments, lambda message: there.send(("message", message)))))
    except UserError as error:
        there.send(("error", str(error)))
    except (MemoryError, tf.errors.ResourceExhaustedError) as error:
        there.send(("memory", f"out of memory: {str(error).partition(chr(10))[0]}"))
    except Exception as error:
        traceback.print_exc()  # for whoever wrote the function; the parent gets one line
        there.send(("error", f"{type(error).__name__}: {error}"))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os._exit(1)


def _death(exitcode: int | None) -> WorkerDied:
    if exitcode == -signal.SIGKILL:
        return WorkerKilled("the training process was killed by signal 9: probably out of memory")
    if exitcode and exitcode < 0:
        return WorkerDied(f"the training process was killed by {signal.Signals(-exitcode).name}")
    return WorkerDied(f"the training process ended with status {exitcode} and no result")


def sparing_memory(
    train: Callable[[int], Result], batch_size: int, say: Callable[[str], None]
) -> tuple[Result, int]:
    """Call `train(batch_size)`; if memory is short, once more at half the batch size. Returns the batch size,
    too.

    Signal 9 does not tell who sent it, so a killed process is first started again with the same batch size;
    it resumes after its last epoch. Raises what the last attempt raised.
    """
    try:
        try:
            return train(batch_size), batch_size
        except WorkerKilled as error:
            say(f"{error}; it resumes after its last epoch")
            return train(batch_size), batch_size
    except (WorkerKilled, OutOfMemory) as error:
        half = batch_size // 2
        if not half:
            raise
        say(f"{error}; it starts again at batch size {half} instead of {batch_size}")
        return train(half), half
