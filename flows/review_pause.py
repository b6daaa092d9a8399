"""Pause a run in Prefect for people to review, until somebody resumes it."""

from prefect import get_run_logger
from prefect.flow_runs import pause_flow_run
from prefect.input import RunInput
from prefect.settings import get_current_settings
from pydantic import Field

from fer_tasks.errors import UserError


class NoServer(UserError):
    """There is no server in which somebody could resume the run."""


class ResumeForm(RunInput):
    """The form behind Prefect's Resume button."""

    reviewer: str = Field("", title="Who resumes the run")


def pause_for_review(undecided: int, seconds: int) -> None:
    """Pause this run until somebody has reviewed `undecided` faces and resumes it.

    Raises:
        NoServer: the run has a temporary server, which has no Resume button.
        FlowPauseTimeout: nobody resumed it within `seconds`.
    """
    url = get_current_settings().api.url
    if not url:
        raise NoServer(
            "params.yaml: clean.wait_for_review needs a Prefect server to resume the run in: `make server`"
        )
    logger = get_run_logger()
    steps = f"decide on them with `make review`, then press Resume in {url.removesuffix('/api')}"
    logger.warning(f"{undecided} doubted faces are undecided: {steps}; waiting at most {seconds:,} s")
    form = pause_flow_run(ResumeForm, timeout=seconds, poll_interval=min(5, seconds))
    logger.info(f"resumed by {form.reviewer or 'somebody'}")
