"""What tests share: a Prefect of their own, and a small project to run in."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import psutil
import pytest
from filelock import FileLock
from starlette.testclient import TestClient

from fer_tasks.network import keep_loopback_direct
from fer_tasks.storage.files import read_table
from testing.kaggle_server import ZIP, Kaggle, kaggle_server
from testing.ocr_server import OcrSpace, ocr_server
from testing.project_copy import copy_project, environment
from testing.review_project import DECISIONS, make_project, write_faces
from testing.reviewing import page
from tests.project import BROKEN, commit, ended, free_port, link_settings, shrink, succeeds

if TYPE_CHECKING:
    from apps.predict.predictor import Predictor

SERVER = "server.json"  # the address and process of the server that the cores share
EMPTY = "empty.db"  # its database before anything ran
# While one core makes `built` for the first, the other trains; those that follow take copies of `built`.
LONGEST = ("test_pipeline", "test_train", "test_reruns", "test_ablation", "test_clean")

# Before anything imports Prefect: its results, its database and its logs are the tests' own.
keep_loopback_direct(os.environ)
_HOME = tempfile.TemporaryDirectory(prefix="prefect-of-tests-")
os.environ |= {
    "PREFECT_HOME": _HOME.name,
    "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{_HOME.name}/prefect.db",
    "PREFECT_LOCAL_STORAGE_PATH": f"{_HOME.name}/results",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "TF_CPP_MIN_LOG_LEVEL": "2",
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A file's slow tests stay together, since they share fixtures; so do its fast ones.

    Slow ones first: the fast ones fill what one core is done earlier with than the other. Of the slow ones
    the longest first.
    """
    for item in items:
        kind = "slow" if item.get_closest_marker("slow") else "fast"
        item.add_marker(pytest.mark.xdist_group(f"{kind} {item.path.stem}"))
    items.sort(key=lambda item: (item.get_closest_marker("slow") is None, _place(item.path.stem)))


def _place(file: str) -> int:
    return LONGEST.index(file) if file in LONGEST else len(LONGEST)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """End the server that the cores share, when none of them needs it any more."""
    if hasattr(session.config, "workerinput"):
        return
    record = session.config._tmp_path_factory.getbasetemp() / SERVER
    if record.exists():
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(json.loads(record.read_text())["pid"])
            process.terminate()
            process.wait(60)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A temporary folder of this session, the same for each of xdist's processes."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def server(shared: Path) -> dict[str, str]:
    """A Prefect server as `make server` starts it, one for all; returns the environment that points there."""
    record = shared / SERVER
    with FileLock(f"{record}.lock"):
        if not record.exists():
            record.write_text(json.dumps(_start_server(shared / "server")))
    return {"PREFECT_API_URL": json.loads(record.read_text())["url"]}


@pytest.fixture(scope="session")
def database(shared: Path, server: dict[str, str]) -> Path:
    """The database of a Prefect server as it is at its first start: for `copy_project`."""
    return shared / EMPTY


@pytest.fixture(scope="session")
def prefect(server: dict[str, str]) -> Iterator[None]:
    """The flows that a test calls in its own process run against that server."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: server["PREFECT_API_URL"]}):
        yield


def _start_server(folder: Path) -> dict[str, str | int]:
    from flows.server.which_server import is_answering  # here, where Prefect is the tests' own

    home, port = copy_project(folder), free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.server"],
        cwd=home,
        env=environment(home, PREFECT_SERVER_API_PORT=port),
        stdout=(folder.parent / "server.log").open("w"),
        stderr=subprocess.STDOUT,
        start_new_session=True,  # it outlives the process that was first to need it
    )
    url = f"http://127.0.0.1:{port}/api"
    deadline = time.monotonic() + 300  # a busy machine takes ten times the usual
    while not is_answering(url):
        assert not ended(process) and time.monotonic() < deadline, "the server did not start"
    with closing(sqlite3.connect(home / ".cache" / "server" / "prefect.db")) as database:
        database.execute("VACUUM INTO ?", [str(folder.parent / EMPTY)])
    return {"pid": process.pid, "url": url}


@pytest.fixture(scope="session")
def built(shared: Path, server: dict[str, str]) -> Path:
    """A project after its first `dvc repro`, with a server and a cell that fails, all committed.

    One for all: a test that changes something takes a copy.
    """
    project, ready = shared / "built", shared / "built.ready"
    with FileLock(shared / "built.lock"):
        if not ready.exists():
            shrink(copy_project(project), BROKEN)
            succeeds(project, "dvc", "repro", **server)
            commit(project)
            ready.touch()
    return project


@pytest.fixture
def in_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder with the project's settings files."""
    monkeypatch.chdir(link_settings(tmp_path))
    return tmp_path


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Path]:
    """A function that copies a project, to be changed, and makes the copy the working folder."""

    def copy(project: Path) -> Path:
        monkeypatch.chdir(shutil.copytree(project, tmp_path / "copy", symlinks=True))
        return tmp_path / "copy"

    return copy


@pytest.fixture
def kaggle(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kaggle]:
    """A Kaggle of the tests' own, with one data set."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with kaggle_server(ZIP) as server:
        yield server


@pytest.fixture
def ocr(monkeypatch: pytest.MonkeyPatch) -> Iterator[OcrSpace]:
    """An OCR.space of the tests' own."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ocr_server() as server:
        yield server


@pytest.fixture(scope="session")
def drawn_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data/raw, data/faces, data/textfree and data/clean of 40 drawn faces."""
    data = tmp_path_factory.mktemp("drawn") / "data"
    write_faces(data, 40)
    return data


@pytest.fixture
def drawn_faces(drawn_data: Path) -> pd.DataFrame:
    return read_table(drawn_data / "textfree" / "manifest.csv")


@pytest.fixture
def review_project(drawn_data: Path, tmp_path: Path) -> Path:
    """A folder in which the review page can be served."""
    return make_project(tmp_path / "project", drawn_data)


@pytest.fixture
def decisions(review_project: Path) -> Path:
    return review_project / DECISIONS


@pytest.fixture
def client(drawn_data: Path, decisions: Path) -> TestClient:
    """The review page's requests, to a server in this process."""
    return page(drawn_data, decisions)


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
        # At once for everybody, though a result that is still in memory may lie mapped there.
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small model, for `predict`."""
    from testing.tiny_model import write_tiny_model  # here, as below: other tests need not wait for it

    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def predictor(model: Path) -> "Predictor":
    from apps.predict.predictor import Predictor

    return Predictor(model)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with one face, two faces and none, in a folder below; and with other files."""
    from tests.predicting import write_photos

    return write_photos(tmp_path / "phötos")


@pytest.fixture(scope="session")
def moving(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film of 26 frames, 25 a second, of a face that moves."""
    from testing import films

    film = tmp_path_factory.mktemp("films") / "moving.avi"
    return films.write(film, films.moving(films.astronaut(), 26))


@pytest.fixture(scope="session")
def nobody(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film of five grey frames."""
    from testing import films

    film = tmp_path_factory.mktemp("films") / "nobody.avi"
    return films.write(film, [np.full((120, 160, 3), 90, np.uint8)] * 5)
