"""Run a function in a process of its own: seeds, memory and crashes of one cell touch no other."""

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from fer_tasks.errors import UserError


class WorkerDied(UserError):
    """The process ended without a result: killed, out of memory, or crashed."""


class WorkerFailed(UserError):
    """The function raised; the message names the error."""


def call_in_own_process(
    function: Callable[..., Any], *arguments: Any, threads: int, on_message: Callable[[Any], None]
) -> Any:
    """Call `function(*arguments, send)` in a new process whose TensorFlow has `threads` threads.

    `function` is found by its name, so it stands at the top of a module. What it passes to `send` reaches
    `on_message` here while it runs. Raises WorkerFailed with what it raised, WorkerDied if its process ended
    without a word. The process ends with its parent, also when that is killed.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_serve, args=(there, threads, function, arguments), daemon=True)
    process.start()
    there.close()
    try:
        while True:
            kind, value = here.recv()
            if kind == "result":
                return value
            if kind == "error":
                raise WorkerFailed(value)
            on_message(value)
    except EOFError:
        process.join()
        raise WorkerDied(_how(process.exitcode)) from None
    finally:
        process.terminate()
        process.join()


def _serve(there: Connection, threads: int, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import tensorflow as tf  # here, so that only this process pays for it

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    try:
        there.send(("result", function(*arguments, lambda message: there.send(("message", message)))))
    except UserError as error:
        there.send(("error", str(error)))
    except Exception as error:
        traceback.print_exc()  # for whoever wrote the function; the parent gets one line
        there.send(("error", f"{type(error).__name__}: {error}"))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os._exit(1)


def _how(exitcode: int | None) -> str:
    if exitcode == -signal.SIGKILL:
        return "the training process was killed by signal 9: probably out of memory"
    if exitcode and exitcode < 0:
        return f"the training process was killed by {signal.Signals(-exitcode).name}"
    return f"the training process ended with status {exitcode} and no result"
