"""The server of `serve` among clients that are many, slow or gone; and killed."""

import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from apps.serve import answers, waiting
from apps.serve.__main__ import main
from apps.serve.app import make_app
from apps.serve.newest_model import NewestModel
from testing.tiny_model import write_tiny_model
from testing.web import running, started
from tests.serving import HOSTS, NOBODY, TWO_FACES, send

HEAD = "POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/png\r\nContent-Length: {}\r\n\r\n"

OF_MANY = {"timeout": 60, "limits": httpx.Limits(max_connections=None), "trust_env": False, "verify": False}


@contextmanager
def serving(model: Path) -> Iterator[tuple[str, httpx.Client]]:
    """A server in this process: its address, and a client of it."""
    with running(make_app(NewestModel(model), HOSTS)) as url:
        with httpx.Client(**OF_MANY, base_url=url) as client:
            yield url, client


@pytest.fixture(scope="module")
def server(model) -> Iterator[tuple[str, httpx.Client]]:
    with serving(model) as one:
        yield one


@pytest.fixture
def url(server) -> str:
    return server[0]


@pytest.fixture
def client(server) -> httpx.Client:
    return server[1]


def half_sent(url: str, sent: bytes = NOBODY[:200], length: int = len(NOBODY)) -> socket.socket:
    """A connection on which a request has begun."""
    host, port = url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=30)
    connection.sendall(HEAD.format(length).encode() + sent)
    return connection


def until(holds) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def n_waiting(client: httpx.Client) -> int:
    return client.get("/health").json()["waiting"]


class Gate:
    """In place of the model: answers when it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.begun, self.opened = 0, threading.Event()
        monkeypatch.setattr(answers, "answer", self._answer)

    def _answer(self, *_: object) -> bytes:
        self.begun += 1
        assert self.opened.wait(30)
        return b"{}"


def test_of_200_at_once_none_is_lost(client):
    with ThreadPoolExecutor(200) as many:
        replies = [*many.map(lambda _: send(client, NOBODY), range(200))]
    assert {reply.status_code for reply in replies} == {200}
    assert {reply.text for reply in replies} == {send(client, NOBODY).text}


def test_who_comes_to_a_full_room_is_told_when_to_come_again(client, url, monkeypatch):
    monkeypatch.setattr(waiting, "MOST", 3)
    gate = Gate(monkeypatch)
    with ThreadPoolExecutor(3) as three:
        answered = [three.submit(send, client, NOBODY) for _ in range(3)]
        until(lambda: n_waiting(client) == 3)
        for data in (NOBODY, bytes(5_000_000)):
            refused = send(client, data)
            assert refused.status_code == 503 and refused.headers["Retry-After"] == "2"
            assert refused.json()["detail"] == "3 requests are waiting; ask again in 2 s"
        gate.opened.set()
        assert [one.result().status_code for one in answered] == [200] * 3
    assert send(client, NOBODY).status_code == 200


def test_bodies_wait_until_there_is_memory_for_them(model, monkeypatch):
    monkeypatch.setattr(waiting, "UNITS", 1)
    with serving(model) as (url, client), ThreadPoolExecutor(1) as other, half_sent(url) as connection:
        until(lambda: n_waiting(client) == 1)
        second = other.submit(send, client, TWO_FACES)
        until(lambda: n_waiting(client) == 2)
        time.sleep(0.1)
        assert not second.done()
        connection.sendall(NOBODY[200:])
        assert connection.recv(100).startswith(b"HTTP/1.1 200 ")
        assert len(second.result().json()["faces"]) == 2


def test_a_body_that_trickles_in_ends_after_its_time(client, url, monkeypatch):
    monkeypatch.setattr(waiting, "BODY_S", 0.3)
    with half_sent(url) as connection:
        until(lambda: n_waiting(client) == 1)
        for byte in NOBODY[200:205]:
            connection.sendall(bytes([byte]))
            time.sleep(0.05)
        reply = b"".join(iter(lambda: connection.recv(4096), b""))  # until the server closes
    assert reply.startswith(b"HTTP/1.1 408 ") and b"did not arrive within 0.3 s" in reply
    assert n_waiting(client) == 0


def test_who_goes_in_the_middle_of_the_body_is_dropped(client, url, capfd):
    half_sent(url).close()
    until(lambda: n_waiting(client) == 0)
    assert send(client, NOBODY).status_code == 200
    assert "Traceback" not in capfd.readouterr().err


def test_who_goes_while_waiting_costs_no_work(model, monkeypatch, capfd):
    monkeypatch.setattr(waiting, "THREADS", 1)
    gate = Gate(monkeypatch)
    with serving(model) as (url, client), ThreadPoolExecutor(2) as two:
        first = two.submit(send, client, NOBODY)
        until(lambda: gate.begun == 1)
        gone = half_sent(url, NOBODY)
        until(lambda: n_waiting(client) == 2)
        last = two.submit(send, client, NOBODY)
        until(lambda: n_waiting(client) == 3)
        gone.close()
        gate.opened.set()
        assert first.result().status_code == last.result().status_code == 200
        assert gate.begun == 2 and n_waiting(client) == 0
    assert "Traceback" not in capfd.readouterr().err


def test_while_the_model_is_replaced_each_answer_is_of_one_of_them(tmp_path):
    folder = write_tiny_model(tmp_path / "model")
    with serving(folder) as (_, client), ThreadPoolExecutor(1) as other:
        ended = threading.Event()

        def ask() -> list[str]:
            models = []
            while not ended.is_set():
                reply = send(client, NOBODY)
                models.append(reply.json()["model"] if reply.status_code == 200 else reply.text)
            return models

        asking = other.submit(ask)
        for i in range(5):
            write_tiny_model(folder, name=f"new{i}")
            time.sleep(0.05)
        ended.set()
        assert {*asking.result()} <= {f"{name}@01234567" for name in ("tiny", *(f"new{i}" for i in range(5)))}
        assert send(client, NOBODY).json()["model"] == "new4@01234567"


@pytest.mark.slow
def test_a_server_that_was_killed_starts_again_on_its_port(model):
    command = ["apps.command", "serve", "--model", str(model), "--port"]
    with started([*command, "0"]) as (process, url):
        with half_sent(url):
            assert httpx.post(f"{url}/predict", content=NOBODY, trust_env=False).json()["faces"] == []
            process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
    with started([*command, url.rpartition(":")[2]]) as (process, again):
        assert again == url
        assert httpx.get(f"{url}/health", trust_env=False).json()["status"] == "ok"
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0


def test_what_cannot_be_served_is_one_line(tmp_path, url, capsys):
    for given, reason in (
        (["--port", "0", "--model", str(tmp_path / "none")], "there is no folder"),
        (["--port", url.rpartition(":")[2]], "choose another with --host and --port"),
        (["--host", "0.0.0.0"], "give one address of this machine"),
    ):
        assert main(given, "monday-fer serve") == 2
        told = capsys.readouterr().err
        assert told.startswith("monday-fer serve: ") and told.count("\n") == 1 and reason in told
