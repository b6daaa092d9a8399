"""A Prefect server belongs to its project: it starts, is found and is ended from there only."""

import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import psutil
import pytest
import uvicorn
from prefect.context import SettingsContext, get_settings_context
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_SERVER_API_PORT,
    Settings,
    get_current_settings,
    temporary_settings,
)
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from fer_tasks.errors import UserError
from flows.command import ready_for_prefect
from flows.run import _where_to_look
from flows.server import own_server
from flows.server.idle import Activity, end_when_idle
from flows.server.serve import PORTS_TRIED, _listening
from flows.server.which_server import check_server, is_answering, report_url
from testing import loopback
from testing.loopback import serving
from testing.project_copy import copy_project
from tests.project import free_port, run, succeeds

DEAD_PROXIES = {"http_proxy": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}
DEAD_PROXIES |= {"ALL_PROXY": "socks5://127.0.0.1:9", "no_proxy": "example.org"}
STAGE = """
import os, signal, sys
from pathlib import Path
from prefect import flow
from prefect.settings import get_current_settings
from flows.engine.stage import run_stage
@flow(name="ask")
def ask(settings):
    Path("said").write_text(get_current_settings().api.url)
    if "be told to end" in sys.argv:
        os.kill(os.getpid(), signal.SIGTERM)
run_stage(ask)
"""


def record(project: Path) -> dict:
    return json.loads((project / own_server.RECORD).read_text())


def project_at(url: str) -> str:
    return httpx.get(f"{url.removesuffix('/api')}/project", trust_env=False).text


def coded(project: Path, code: str, **extra: str) -> str:
    """What a program says that is run in the project."""
    (project / "said_here.py").write_text(code)
    return succeeds(project, "said_here", **extra)


@pytest.fixture(scope="module")
def clones(tmp_path_factory: pytest.TempPathFactory, database: Path) -> Iterator[tuple[Path, Path]]:
    """Two clones, each with a server in the background, started through proxies that are dead.

    The first's was started by a stage; what that said is in `shown`. The second's is configured: on this
    machine, where none answers yet.
    """
    folder = tmp_path_factory.mktemp("ß päth (1)")
    both, port = (copy_project(folder / "one", database), copy_project(folder / "two", database)), free_port()
    (both[0] / "shown").write_text(coded(both[0], STAGE, **DEAD_PROXIES))
    configured = {"PREFECT_SERVER_API_PORT": port, "PREFECT_API_URL": f"http://127.0.0.1:{port}/api"}
    succeeds(both[1], "flows.server", "--background", **DEAD_PROXIES, **configured)
    assert record(both[1])["url"] == configured["PREFECT_API_URL"]
    yield both
    for clone in both:
        run(clone, "flows.server.own_server")


@pytest.mark.slow
def test_each_clone_has_its_own_whatever_the_proxy(clones):
    one, two = (record(clone) for clone in clones)
    assert one["url"] != two["url"] and one["pid"] != two["pid"]
    for clone, server in zip(clones, (one, two), strict=True):
        assert is_answering(server["url"]) and project_at(server["url"]).endswith(f":{clone}")
        database = clone / ".cache" / "server" / "prefect.db"
        assert database.exists() and database.parent.stat().st_mode & 0o077 == 0


@pytest.mark.slow
def test_stages_share_a_server_past_any_proxy_and_one_that_is_told_to_end_leaves_it_to_others(clones):
    project, one = clones[0], record(clones[0])
    assert (project / "said").read_text() == one["url"] and is_answering(one["url"])
    ui = one["url"].removesuffix("/api")
    assert (project / "shown").read_text() == f"ask: Prefect's UI {ui}, details in .cache/log/ask.log\n"
    assert "Finished in state Completed()" in (project / ".cache" / "log" / "ask.log").read_text()
    ended = run(project, "said_here", "be told to end", **DEAD_PROXIES)
    assert ended.returncode == -signal.SIGTERM
    assert record(project) == one and is_answering(one["url"])


@pytest.mark.slow
def test_the_one_that_runs_is_found(clones):
    one = record(clones[0])
    assert one["url"].removesuffix("/api") in succeeds(
        clones[0], "flows.server", "--background", **DEAD_PROXIES
    )
    assert record(clones[0]) == one
    again = run(clones[0], "flows.server")
    assert again.returncode == 1 and "this project's server is running at" in again.stderr


@pytest.mark.slow
def test_the_report_is_linked_where_its_own_server_shows_it(clones, monkeypatch):
    url, report = record(clones[0])["url"], "reports/index.html"
    with temporary_settings({PREFECT_API_URL: url}):
        monkeypatch.chdir(clones[0])
        shown = f"{url.removesuffix('/api')}/reports/"
        assert shown in _where_to_look(url, 15) and report_url("index.html") == f"{shown}index.html"
        monkeypatch.chdir(clones[1])
        own_report, said = (clones[1] / report).as_uri(), _where_to_look(url, 15)
        assert f"report   {own_report}" in said and report_url("index.html") == own_report
    for page in ("index", "model", "data"):
        said = said.replace(own_report.replace("index", page), "")
    assert "/reports/" not in said


@pytest.mark.slow
def test_make_stop_ends_this_project_s_and_no_other(clones):
    one, two = (record(clone) for clone in clones)
    assert "has ended" in succeeds(clones[1], "flows.server.own_server")
    assert not psutil.pid_exists(two["pid"]) or psutil.Process(two["pid"]).status() == psutil.STATUS_ZOMBIE
    assert is_answering(one["url"])
    assert "no Prefect server of this project" in succeeds(clones[1], "flows.server.own_server")


def test_a_process_that_has_only_got_the_same_number_is_not_taken_for_the_server(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own_server.keep_record("http://127.0.0.1:9/api")
    for told in (own_server.RECORD.read_text(), '{"pid": 1}', "[]", "no JSON", ""):
        own_server.RECORD.write_text(told)
        assert own_server.own_server() is None, "this process is no server"
        assert own_server.stop() == "no Prefect server of this project is running"


def test_a_copied_folder_has_not_the_server_of_the_original(tmp_path, monkeypatch):
    (tmp_path / "original" / "flows").mkdir(parents=True)
    (tmp_path / "original" / "flows" / "server.py").write_text("import time; time.sleep(60)")
    monkeypatch.chdir(tmp_path / "original")
    process = subprocess.Popen([sys.executable, "-m", own_server.MODULE])
    try:
        monkeypatch.setattr(own_server.os, "getpid", lambda: process.pid)
        own_server.keep_record("http://127.0.0.1:9/api")
        assert own_server.own_server().pid == process.pid
        shutil.copytree(tmp_path / "original", tmp_path / "copy")
        monkeypatch.chdir(tmp_path / "copy")
        assert own_server.own_server() is None
        assert own_server.stop() == "no Prefect server of this project is running"
        assert process.poll() is None
        monkeypatch.chdir(tmp_path / "original")
        assert "has ended" in own_server.stop() and process.wait(20)
    finally:
        process.kill()


@pytest.mark.slow
def test_a_port_that_another_program_has_is_told_in_one_line(tmp_path):
    project = copy_project(tmp_path / "served")
    with serving(loopback.Handler, _Closing) as program:
        port = program.address.rpartition(":")[2]
        done = run(project, "flows.server", "--background", PREFECT_SERVER_API_PORT=port)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert f"127.0.0.1:{port} (another program has it): set PREFECT_SERVER_API_PORT" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("command", ["flows.drop_text", "flows.schedule"])
def test_a_configured_one_that_does_not_answer_is_told_in_one_line(tmp_path, command):
    project = copy_project(tmp_path / "served")
    done = run(project, command, PREFECT_API_URL="http://127.0.0.1:9/api")
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.strip().endswith("(`prefect config unset PREFECT_API_URL`)")
    assert "no Prefect server answers at http://127.0.0.1:9/api" in done.stderr


class _Closing:
    def __init__(self, address: str):
        self.address, self.closing, self.version = address, threading.Event(), ""


class _Old(loopback.Handler):
    def do_GET(self) -> None:
        said = {"/api/health": b"true", "/api/admin/version": json.dumps(self.server.state.version).encode()}
        self.reply(200, said[self.path])


@pytest.mark.parametrize("version", ["2.20.16", "3.0.0"])
def test_one_that_is_too_old_is_told_in_one_line(version):
    with serving(_Old, _Closing) as old:
        old.version = version
        with pytest.raises(UserError, match=f"is Prefect {version}, too old for 3") as told:
            check_server(f"{old.address}/api")
        assert "\n" not in str(told.value)
        old.version = "99.1.0"
        check_server(f"{old.address}/api")


@pytest.mark.slow
def test_a_server_ends_when_nobody_uses_it_and_not_before():
    release = threading.Event()

    def slowly(request: Request) -> PlainTextResponse:
        release.wait(20)
        return PlainTextResponse("at last")

    app = Activity(Starlette(routes=[Route("/", slowly)]))
    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor() as threads:
        server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
        serving = threads.submit(server.run, sockets=[listening])
        end_when_idle(server, app, 0.5)
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        asked = threads.submit(httpx.get, url, trust_env=False, timeout=20)
        time.sleep(1.5)
        assert not server.should_exit and not serving.done()
        release.set()
        assert asked.result(20).text == "at last"
        began = time.monotonic()
        serving.result(20)
        assert time.monotonic() - began > 0.3


@pytest.mark.slow
def test_an_idle_one_ends_itself_and_leaves_no_record_that_counts(tmp_path, database, monkeypatch):
    project = copy_project(tmp_path / "idle", database)
    shown = succeeds(project, "flows.server", "--idle-minutes", "0.02")
    assert shown.startswith("Prefect's UI http://127.0.0.1:")
    monkeypatch.chdir(project)
    assert record(project) and own_server.stop() == "no Prefect server of this project is running"


def test_a_proxy_that_prefect_cannot_use_is_told_in_one_line(monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "socks4://127.0.0.1:9")
    with pytest.raises(SystemExit, match="Prefect cannot use a proxy that the environment names"):
        with ready_for_prefect():
            raise AssertionError("not reached")


def test_the_next_port_is_taken_where_nobody_asked_for_this_one(monkeypatch):
    for variable in ("PREFECT_API_URL", "PREFECT_SERVER_API_PORT"):
        monkeypatch.delenv(variable, raising=False)
    with ExitStack() as held:
        profile = get_settings_context().profile
        held.enter_context(SettingsContext(profile=profile, settings=Settings()))  # as a new process has them
        usual = get_current_settings().server.api.port
        with suppress(OSError):  # somebody has it already
            held.enter_context(socket.create_server(("127.0.0.1", usual)))
        with _listening("127.0.0.1") as listening:
            assert usual < listening.getsockname()[1] <= usual + PORTS_TRIED
        with temporary_settings({PREFECT_SERVER_API_PORT: usual}), pytest.raises(UserError, match=str(usual)):
            _listening("127.0.0.1")
