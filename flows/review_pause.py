"""A run that waits for people: paused in Prefect until somebody says that it may go on."""

from prefect import get_run_logger
from prefect.flow_runs import pause_flow_run
from prefect.input import RunInput
from prefect.settings import get_current_settings
from pydantic import Field

from fer_tasks.errors import UserError


class NoServer(UserError):
    """Nobody could say that a run may go on."""


class GoOn(RunInput):
    """The form behind Prefect's Resume button."""

    reviewer: str = Field("", title="Who says that the run may go on")


def wait_for_people(undecided: int, seconds: int) -> None:
    """Pause this run for people to judge `undecided` faces, until somebody resumes it.

    Raises NoServer where the run has a temporary server, in which nobody can press Resume, and Prefect's
    FlowPauseTimeout after `seconds`.
    """
    url = get_current_settings().api.url
    if not url:
        raise NoServer(
            "params.yaml: clean.wait_for_review wants a Prefect server to resume the run in: `make server`"
        )
    said = get_run_logger()
    where = f"judge them with `make review`, then press Resume in {url.removesuffix('/api')}"
    said.warning(f"{undecided} doubted faces are undecided: {where}; waiting {seconds:,} s at most")
    answer = pause_flow_run(GoOn, timeout=seconds, poll_interval=min(5, seconds))
    said.info(f"goes on, as {answer.reviewer or 'somebody'} said")
