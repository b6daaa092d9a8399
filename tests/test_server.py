"""`python -m flows.server --background` ends with a server that answers, or says why not."""

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from benchmarks.workspace import copy_project
from flows.stage import is_answering
from tests.project import free_port, run, succeeds

pytestmark = pytest.mark.slow
OWN = free_port()


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """A project whose server, if one was started, is ended."""
    home = copy_project(tmp_path / "served")
    yield home
    for process in psutil.process_iter(["cmdline", "cwd"]):
        if process.info["cwd"] == str(home) and "flows.server" in (process.info["cmdline"] or ()):
            process.terminate()
            process.wait()


def test_one_is_started_where_the_configured_one_is_this_machine_s_and_does_not_answer(project):
    url = f"http://127.0.0.1:{OWN}/api"
    assert not is_answering(url)
    configured = {"PREFECT_SERVER_API_PORT": OWN, "PREFECT_API_URL": url}
    succeeds(project, "flows.server", "--background", **configured)
    assert is_answering(url)
    succeeds(project, "flows.server", "--background", **configured)


def test_one_elsewhere_that_does_not_answer_is_told_in_one_line(project):
    done = run(project, "flows.server", "--background", PREFECT_API_URL="http://127.0.0.1:9/api")
    assert done.returncode == 1
    assert done.stderr.strip().endswith("(`prefect config unset PREFECT_API_URL`)")
    assert "no Prefect server answers at http://127.0.0.1:9/api" in done.stderr
