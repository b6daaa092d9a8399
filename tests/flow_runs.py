"""Flows run in the process of the tests: 5 s less each than as a command, 13 where a network is trained."""

import io
import logging
from contextlib import chdir
from pathlib import Path

from prefect import Flow
from prefect.task_runners import ThreadPoolTaskRunner

from fer_tasks.settings import load_settings


def run_here(project: Path, *flows: Flow) -> str:
    """Run flows in this process, two tasks at a time, in the project's folder; returns what they log."""
    log, two = io.StringIO(), ThreadPoolTaskRunner(max_workers=2)
    handler, logger = logging.StreamHandler(log), logging.getLogger("prefect")
    logger.addHandler(handler)
    try:
        with chdir(project):
            for flow in flows:
                flow.with_options(task_runner=two)(load_settings())
    finally:
        logger.removeHandler(handler)
    return log.getvalue()
