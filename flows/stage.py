"""How a stage starts and ends: `python -m flows.<stage>` in a terminal, by `dvc repro` or by a schedule."""

import logging
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
from prefect import Flow, get_run_logger
from prefect.settings import PREFECT_API_URL, get_current_settings, temporary_settings
from prefect.states import Cancelled, State
from prefect.task_runners import ThreadPoolTaskRunner

from fer_tasks.dataset import Dataset
from fer_tasks.errors import UserError, as_user_error
from fer_tasks.settings import Settings, load_settings
from fer_tasks.sources.apart import refuse_what_is_made_here
from flows.fan_out import WORKERS

PAUSED = "Paused"  # the state's name in the UI
IS_PAUSED = " is paused: "  # between a stage's name and the reason, in a terminal and in DVC's output
# What a stage empties before it begins. DVC leaves that to it, since it would not refuse a source there.
MADE_ANEW = {
    "download": Path("data/raw"),
    "crop_faces": Path("data/faces"),
    "drop_text": Path("data/textfree"),
}
MADE_ANEW |= {"clean": Path("data/clean"), "make_features": Path("data/features")}
NEVER_RESUMED = " and never resumed."  # how Prefect's words for a pause that has run out end


def run_stage(flow: Flow, workers: Callable[[Settings], int] = lambda settings: WORKERS) -> None:
    """Read params.yaml once and run the flow: against the server that answers, else against a temporary one.

    A mistake of the user's ends it with one line and exit status 1, a pause with one line and status 75. A
    SIGTERM ends its processes, too.
    """
    signal.signal(signal.SIGTERM, _end_with_children)
    logging.getLogger("prefect.flow_runs").addFilter(_without_traceback)
    logging.getLogger("prefect.task_runs").addFilter(_without_traceback)
    logging.getLogger("prefect.task_runs").setLevel(logging.WARNING)  # a line a shard would hide the rest
    with mistakes_in_one_line():
        settings = load_settings()
        refuse_what_is_made_here(Path(settings.download.source))
        if flow.name in MADE_ANEW:
            shutil.rmtree(MADE_ANEW[flow.name], ignore_errors=True)
        make_home()
        url = running_server()
        runner = ThreadPoolTaskRunner(max_workers=workers(settings))
        with temporary_settings({PREFECT_API_URL: url}) if url else nullcontext():
            run = flow.with_options(flow_run_name=flow.name, task_runner=runner)
            state = run(settings, return_state=True)
            if why := _why_paused(state):
                sys.stderr.write(f"{flow.name}{IS_PAUSED}{why} `dvc repro` goes on.\n")
                sys.exit(os.EX_TEMPFAIL)
            state.result()


def _end_with_children(signum: int, frame: Any) -> None:
    """Prefect hands a SIGTERM on when its flow has ended; its temporary server would go on listening."""
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            child.terminate()
    signal.signal(signum, signal.SIG_DFL)
    os.kill(os.getpid(), signum)


def paused(message: str) -> State:
    """How a flow run ends that cannot go on now, but will where it is started again later."""
    return Cancelled(name=PAUSED, message=message)


def _why_paused(state: State) -> str | None:
    message = state.message or ""
    if message.endswith(NEVER_RESUMED):
        return "nobody has resumed it in time."
    return message if state.name == PAUSED else None


@contextmanager
def mistakes_in_one_line() -> Iterator[None]:
    """Exit with status 1 and the message alone where the user can mend what went wrong."""
    try:
        yield
    except Exception as error:
        if not (mistake := as_user_error(error)):
            raise
        sys.exit(f"{Path(sys.argv[0]).stem}: {mistake}")


def make_home() -> None:
    """Make the folder of Prefect's database: its server needs it, and a new machine has none."""
    get_current_settings().home.mkdir(parents=True, exist_ok=True)


def running_server() -> str | None:
    """The API's URL of the configured Prefect server, or of one that answers on this machine's usual port."""
    if url := get_current_settings().api.url:
        return url
    return usual_server() if is_answering(usual_server()) else None


def usual_server() -> str:
    """The API's URL of a Prefect server on this machine's usual port."""
    return f"http://127.0.0.1:{get_current_settings().server.api.port}/api"


def is_answering(url: str) -> bool:
    """Does a Prefect server answer there? Prefect Cloud does with a refusal: it wants a key."""
    try:
        said = httpx.get(f"{url}/health", timeout=2, trust_env="127.0.0.1" not in url)
    except httpx.HTTPError:
        return False
    return said.text == "true" or said.status_code in (401, 403)


def report_url(page: str) -> str:
    """Where a page of reports/ is to be seen: on the server that also serves the UI, or as a file."""
    url = get_current_settings().api.url
    return f"{url.removesuffix('/api')}/reports/{page}" if url else Path("reports", page).resolve().as_uri()


def close(target: Path, came_in: int, info: dict[str, Any]) -> None:
    """End a stage: log what came in, was kept and was rejected, by reason.

    Raises UserError where nothing is left to go on with, and AssertionError where a picture has vanished.
    """
    kept, dropped = info["kept"], sum(info["rejected"].values())
    reasons = ", ".join(f"{reason} {n}" for reason, n in info["rejected"].items()) or "none"
    get_run_logger().info(f"{came_in} in, {kept} kept, {dropped} rejected ({reasons})")
    if kept + dropped != came_in:
        raise AssertionError(f"{info['stage']}: {came_in} in, but {kept} kept + {dropped} rejected")
    if not kept:
        raise UserError(f"no picture is left ({reasons}); {target}/rejected.csv says why for each")


def made_from(*datasets: Dataset) -> dict[str, str]:
    """The fingerprints of the datasets that a stage read, for its `dataset.json`."""
    return {str(dataset.root): dataset.fingerprint for dataset in datasets}


def _without_traceback(record: logging.LogRecord) -> bool:
    if record.exc_info and record.exc_info[1] and (mistake := as_user_error(record.exc_info[1])):
        record.msg, record.args, record.exc_info = str(mistake), (), None
    return True
