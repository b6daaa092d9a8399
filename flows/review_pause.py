"""Pause a run in Prefect for people to review, until somebody resumes it."""

from prefect import get_run_logger
from prefect.flow_runs import pause_flow_run
from prefect.input import RunInput
from prefect.settings import get_current_settings
from pydantic import Field


class ResumeForm(RunInput):
    """The form behind Prefect's Resume button."""

    reviewer: str = Field("", title="Who resumes the run")


def pause_for_review(undecided: int, seconds: int) -> None:
    """Pause this run until somebody has reviewed `undecided` faces and resumes it.

    Raises:
        FlowPauseTimeout: nobody resumed it within `seconds`.
    """
    logger = get_run_logger()
    ui = get_current_settings().api.url.removesuffix("/api")
    steps = f"decide on them with `make review`, then press Resume in {ui}"
    logger.warning(f"{undecided} doubted faces are undecided: {steps}; waiting at most {seconds:,} s")
    form = pause_flow_run(ResumeForm, timeout=seconds, poll_interval=min(5, seconds))
    logger.info(f"resumed by {form.reviewer or 'somebody'}")
