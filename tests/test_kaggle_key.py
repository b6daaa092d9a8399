"""Whose key it is, where it is found, and that nobody but Kaggle gets to see it."""

import logging
import pickle
from pathlib import Path

import pytest
from tblib import pickling_support

from fer_tasks.errors import UserError
from fer_tasks.network import Refused
from fer_tasks.sources.kaggle.datasets import fetch, look_up
from fer_tasks.sources.kaggle.key import NOBODY, authorization
from testing import kaggle_server as bad
from testing.kaggle_server import TELEMOJI, ZIP
from testing.loopback import silence

SECRET = "KGAT_5ecret0f4ll"


def home_with(tmp_path: Path, **files: str) -> Path:
    for name, text in files.items():
        (tmp_path / ".kaggle").mkdir(exist_ok=True)
        (tmp_path / ".kaggle" / name.replace("_json", ".json")).write_text(text)
    return tmp_path


PAIR = f'{{"username": "me", "key": "{SECRET}"}}'
BASIC = "Basic bWU6S0dBVF81ZWNyZXQwZjRsbA=="


def sent(key) -> str:
    class Request:
        headers: dict[str, str] = {}

    return key(Request()).headers.get("Authorization", "")


def test_the_usual_places_of_a_key_in_their_order(tmp_path):
    assert authorization({}, tmp_path) is NOBODY and sent(NOBODY) == ""
    home = home_with(tmp_path, kaggle_json=PAIR)
    assert sent(authorization({}, home)) == BASIC
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "kaggle.json").write_text(PAIR.replace('"me"', '"work"'))
    environ = {"KAGGLE_CONFIG_DIR": str(tmp_path / "work")}
    assert str(tmp_path / "work" / "kaggle.json") in repr(authorization(environ, home))
    environ |= {"KAGGLE_USERNAME": "me", "KAGGLE_KEY": SECRET}
    assert sent(authorization(environ, home)) == BASIC
    home_with(tmp_path, access_token=SECRET + "1\n")
    assert sent(authorization(environ, home)) == f"Bearer {SECRET}1"
    assert sent(authorization(environ | {"KAGGLE_API_TOKEN": SECRET}, home)) == f"Bearer {SECRET}"
    file = str(home / ".kaggle" / "access_token")
    assert sent(authorization({"KAGGLE_API_TOKEN": file}, home)) == f"Bearer {SECRET}1"
    assert sent(authorization({"KAGGLE_API_TOKEN": "", "KAGGLE_USERNAME": "x"}, Path("/nowhere"))) == ""
    assert sent(authorization({"KAGGLE_API_TOKEN": "x" * 5000}, home)) == "Bearer " + "x" * 5000


MALFORMED = {
    "half a file": ({}, {"kaggle_json": PAIR[:-2]}),
    "no key": ({}, {"kaggle_json": PAIR.replace('"key"', '"code"')}),
    "a number": ({}, {"kaggle_json": '{"username": "me", "key": 5}'}),
    "a list": ({}, {"kaggle_json": f'["me", "{SECRET}"]'}),
    "empty": ({}, {"access_token": ""}),
    "two lines": ({"KAGGLE_API_TOKEN": f"{SECRET}\n{SECRET}"}, {}),
    "quoted by mistake": ({"KAGGLE_API_TOKEN": f"“{SECRET}”"}, {}),
    "no such file": ({"KAGGLE_API_TOKEN": f"/nowhere/{SECRET}"}, {}),
    "a line end": ({"KAGGLE_USERNAME": "me", "KAGGLE_KEY": f"{SECRET}\r\nX: {SECRET}"}, {}),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_key_is_told_by_its_place_alone(tmp_path, name):
    environ, files = MALFORMED[name]
    with pytest.raises(Refused, match="https://www.kaggle.com/settings") as caught:
        authorization(environ, home_with(tmp_path, **files))
    assert "KAGGLE" in str(caught.value) and SECRET not in repr(caught.value)
    for file in files:
        assert file.replace("_json", ".json") in str(caught.value)


def test_a_key_that_cannot_be_read(tmp_path):
    (tmp_path / ".kaggle").mkdir()
    (tmp_path / ".kaggle" / "access_token").write_bytes(b"\xff" + SECRET.encode())
    with pytest.raises(Refused, match="access_token cannot be read: it is not text") as told:
        authorization({}, tmp_path)
    assert told.value.__context__ is None, "it holds the content, and is pickled along"


@pytest.mark.slow
@pytest.mark.parametrize(
    "environ", [{"KAGGLE_API_TOKEN": SECRET}, {"KAGGLE_USERNAME": "me", "KAGGLE_KEY": SECRET}]
)
def test_the_key_is_shown_to_kaggle_and_to_nobody_else(kaggle, tmp_path, caplog, monkeypatch, environ):
    pickling_support.install()  # as Dask does: then errors are pickled with those that they came from
    caplog.set_level(logging.DEBUG)
    (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login other password {SECRET}\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    asker = kaggle.service(**environ)
    kaggle.key = sent(asker.key)
    shown = [repr(asker), str(asker.key), repr(vars(asker))]
    faults = [bad.status(code) for code in (400, 401, 403, 404, 429, 503)]
    faults += [bad.page(), silence, bad.cut_after(0), bad.status(429, Retry_After="7200")]
    for call in ("GetDataset", "DownloadDataset", "storage"):
        for fault in faults:
            kaggle.fail(call, fault)
            try:
                look_up(asker, TELEMOJI)
                fetch(asker, TELEMOJI, 3, tmp_path / "3.zip", 10**6, lambda done, total: None)
            except UserError as error:
                shown += [str(error), repr(error), pickle.dumps(error).decode("latin-1")]
    fetch(asker, TELEMOJI, 3, tmp_path / "3.zip", 10**6, lambda done, total: None)
    assert (tmp_path / "3.zip").read_bytes() == ZIP and len(shown) > 3 * 2 * len(faults)
    text = "\n".join([*shown, caplog.text])
    assert "GetDataset HTTP/1.1" in caplog.text  # urllib3 did log
    assert SECRET not in text and kaggle.key.split()[1] not in text
    assert {"authorization" in one.headers for one in kaggle.received if one.call == "storage"} == {False}
    assert {one.headers["authorization"] for one in kaggle.received if one.call != "storage"} == {kaggle.key}
    with pytest.raises(TypeError, match="must not be stored"):
        pickle.dumps(asker)


def test_nobody_sends_no_password_of_netrc(kaggle, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login other password {SECRET}\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    fetch(kaggle.service(), TELEMOJI, 3, tmp_path / "3.zip", 10**6, lambda done, total: None)
    assert not any("authorization" in one.headers for one in kaggle.received)
