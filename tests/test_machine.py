"""The user's machine: the cores that may be used, and a home folder that cannot be written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def python(code: str, folder: Path, **extra: str) -> list[str]:
    own = ("PREFECT_", "XDG_", "KERAS_", "MPL", "DVC_", "GIT_")  # set for this very process, it may be
    kept = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    env = {**kept, "PYTHONPATH": str(ROOT), **extra}
    return subprocess.check_output([sys.executable, "-c", code], cwd=folder, env=env, text=True).splitlines()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
def test_as_many_workers_as_cores_may_be_used_not_as_there_are(tmp_path):
    one = f"import os; os.sched_setaffinity(0, {{{min(os.sched_getaffinity(0))}}})"
    assert python(f"{one}; from flows.engine.worker_pool import WORKERS; print(WORKERS)", tmp_path) == ["1"]


def test_what_is_kept_in_a_home_folder_is_kept_in_the_project_where_there_is_none(tmp_path):
    code = (
        "import flows, os; print(os.environ.get('PREFECT_HOME'), os.environ.get('MPLCONFIGDIR'), sep='\\n')"
    )
    own = tmp_path / ".cache" / "home"
    assert python(code, tmp_path, HOME=str(tmp_path)) == ["None", "None"] and not own.exists()
    assert python(code, tmp_path, HOME="/proc/nowhere") == [
        str(own / "prefect_home"),
        str(own / "mplconfigdir"),
    ]
    assert python(code, tmp_path, HOME="/proc/nowhere", PREFECT_HOME="mine")[0] == "mine"
