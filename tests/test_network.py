"""What a server's reply, or its absence, is taken for."""

import os
import pickle
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from fer_tasks.network import TryAgain, keep_loopback_direct, wait_asked
from fer_tasks.sources.kaggle.datasets import look_up
from testing import kaggle_server as bad
from testing.kaggle_server import TELEMOJI, ZIP, kaggle_server

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def test_nobody_listens():
    with kaggle_server(ZIP) as gone:
        pass
    with pytest.raises(TryAgain, match="the connection to 127.0.0.1 failed"):
        look_up(gone.service(), TELEMOJI)


@pytest.mark.parametrize(
    ("header", "after"),
    [
        ("0", 0),
        ("90", 90),
        ("9" * 400, 366 * 86400),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90),
        ("Tue, 24 Nov 2026 12:01:00 -0000", 60),
        (format_datetime(NOW - timedelta(days=9), usegmt=True), 0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
    ],
)
def test_retry_after(header, after):
    assert wait_asked(header, NOW) == after


def test_the_wait_that_was_asked_for_reaches_the_flow(kaggle):
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=40), usegmt=True)
    kaggle.fail("GetDataset", bad.status(429, Retry_After=soon), bad.status(503))
    with pytest.raises(TryAgain) as caught:
        look_up(kaggle.service(), TELEMOJI)
    assert 30 < pickle.loads(pickle.dumps(caught.value)).after_s <= 40
    with pytest.raises(TryAgain) as caught:
        look_up(kaggle.service(), TELEMOJI)
    assert caught.value.after_s is None


@pytest.mark.parametrize(
    ("given", "exempt"),
    [
        ({}, "127.0.0.1,localhost,::1"),
        ({"NO_PROXY": "a.example, .b.example"}, "a.example,.b.example,127.0.0.1,localhost,::1"),
        ({"no_proxy": "localhost", "NO_PROXY": "other"}, "localhost,127.0.0.1,::1"),
        ({"no_proxy": "*"}, "*"),
    ],
)
def test_no_proxy_is_asked_for_this_machine(given, exempt):
    environ = {"ALL_PROXY": "socks://127.0.0.1:1080/", "http_proxy": "http://proxy.example:3128", **given}
    keep_loopback_direct(environ)
    assert environ["no_proxy"] == exempt and environ.get("NO_PROXY", "*") in (exempt, "*")
    assert environ["ALL_PROXY"] == "socks5://127.0.0.1:1080/"
    assert environ["http_proxy"] == "http://proxy.example:3128"


def test_a_service_of_this_machine_is_asked_past_the_proxy(monkeypatch):
    for name in ("http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with kaggle_server(ZIP) as server:
        with pytest.raises(TryAgain):
            look_up(server.service(), TELEMOJI)
        keep_loopback_direct(os.environ)
        assert look_up(server.service(), TELEMOJI).title
