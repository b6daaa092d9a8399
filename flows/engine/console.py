"""What a stage shows in the terminal, and its log file, where everything is."""

import logging
import os
import sys
from pathlib import Path

from tqdm import tqdm

from fer_tasks.errors import as_user_error

LOGS = Path(".cache/log")
FLOWS = Path(__file__).parents[1]


def show_results_only(stage: str) -> Path:
    """Let the terminal show a stage's own lines, warnings and bars, and a log file all that is logged.

    Standard error of C++ libraries and of child processes goes to the log file, too: TensorFlow writes
    there whatever its log level is (https://github.com/tensorflow/tensorflow/issues/100442). Returns the
    file, which holds the last run. Call it once a process, before anything else writes.
    """
    file = LOGS / f"{stage}.log"
    LOGS.mkdir(parents=True, exist_ok=True)
    terminal = os.fdopen(os.dup(2), "w", buffering=1, encoding=sys.stderr.encoding, errors="backslashreplace")
    with file.open("wb") as log:
        os.dup2(log.fileno(), 2)  # Prefect's own handler writes there with a time and the name of the run
    sys.stderr = terminal
    handler = _AboveBars()
    handler.setFormatter(_Line(stage))
    handler.addFilter(_is_for_the_terminal)
    logging.getLogger("prefect").addHandler(handler)
    for name in ("prefect.flow_runs", "prefect.task_runs"):
        logging.getLogger(name).addFilter(_without_traceback)
    logging.getLogger("prefect.task_runs").setLevel(logging.WARNING)  # a line a shard would hide the rest
    return file


class _AboveBars(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(self.format(record), file=sys.stderr)


class _Line(logging.Formatter):
    def __init__(self, stage: str):
        super().__init__()
        self._stage = stage

    def format(self, record: logging.LogRecord) -> str:
        level = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        return f"{self._stage}: {level}{record.getMessage()}"


def _is_for_the_terminal(record: logging.LogRecord) -> bool:
    """Is it a warning of ours, or a line that a stage itself logs, and not a helper or Prefect?"""
    file = Path(record.pathname)
    is_result = file.parent == FLOWS or file == FLOWS / "engine" / "stage.py"
    return FLOWS in file.parents and (is_result or record.levelno >= logging.WARNING)


def _without_traceback(record: logging.LogRecord) -> bool:
    if record.exc_info and record.exc_info[1] and (mistake := as_user_error(record.exc_info[1])):
        record.msg, record.args, record.exc_info = str(mistake), (), None
    return True
