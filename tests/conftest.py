"""What tests share: a Prefect of their own, and a small project to run in."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kaggle_server import ZIP, Kaggle, kaggle_server

# Before anything imports Prefect: its results, its database and its logs are the tests' own.
_HOME = tempfile.TemporaryDirectory(prefix="prefect-of-tests-")
os.environ |= {
    "PREFECT_HOME": _HOME.name,
    "PREFECT_LOCAL_STORAGE_PATH": f"{_HOME.name}/results",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "TF_CPP_MIN_LOG_LEVEL": "2",
}


@pytest.fixture(scope="session")
def prefect() -> Iterator[None]:
    """A temporary Prefect database and server: 10 to 20 seconds to enter, so once a session."""
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture
def in_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder with the project's settings files."""
    root = Path(__file__).parents[1]
    for name in ("params.yaml", "grids", "sources", "review"):
        (tmp_path / name).symlink_to(root / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def kaggle(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kaggle]:
    """A Kaggle of the tests' own, with one data set."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with kaggle_server(ZIP) as server:
        yield server


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 128 KiB, where mounting one is permitted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(disk)]
    if os.name != "posix" or os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("wants to mount a small disk")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)
