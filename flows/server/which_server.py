"""Whether a Prefect server can be used, and whether it shows this project's report."""

import re
from pathlib import Path

import httpx
import prefect
from prefect.settings import get_current_settings

from fer_tasks.errors import UserError
from flows.server.own_server import this_project

ANSWERS_WITHIN = 10  # seconds, of a server that is busy


def usual_server() -> str:
    """The API's URL of a Prefect server on this machine's usual port."""
    return f"http://127.0.0.1:{get_current_settings().server.api.port}/api"


def is_answering(url: str) -> bool:
    """Does a Prefect server answer there? Prefect Cloud does with a refusal: it wants a key."""
    reply = _ask(f"{url}/health")
    return reply is not None and (reply.text == "true" or reply.status_code in (401, 403))


def check_server(url: str) -> None:
    """Raises UserError where no Prefect server answers there, or one too old for this Prefect."""
    if not is_answering(url):
        fix = "start it, or unset PREFECT_API_URL (`prefect config unset PREFECT_API_URL`)"
        raise UserError(f"no Prefect server answers at {url}: {fix}")
    reply = _ask(f"{url}/admin/version")
    theirs = re.match(r'"(\d+)\.(\d+)', reply.text) if reply and reply.status_code == 200 else None
    ours = re.match(r"(\d+)\.(\d+)", prefect.__version__)
    if theirs and tuple(map(int, theirs.groups())) < tuple(map(int, ours.groups())):
        fix = "update it, or unset PREFECT_API_URL (`prefect config unset PREFECT_API_URL`)"
        raise UserError(f"{url} is Prefect {reply.json()}, too old for {prefect.__version__} here: {fix}")


def _ask(url: str) -> httpx.Response | None:
    try:
        return httpx.get(url, timeout=ANSWERS_WITHIN)
    except httpx.HTTPError:
        return None


def report_url(page: str) -> str:
    """Where a page of reports/ is to be seen: on this project's server, or as a file."""
    if (url := get_current_settings().api.url) and serves_this_project(url):
        return f"{url.removesuffix('/api')}/reports/{page}"
    return Path("reports", page).resolve().as_uri()


def serves_this_project(url: str) -> bool:
    """Does the server at that API's URL show this project's report? Another clone's shows its own."""
    reply = _ask(f"{url.removesuffix('/api')}/project")
    return reply is not None and reply.text == this_project()
