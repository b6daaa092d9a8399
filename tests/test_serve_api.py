"""The API of `serve`: its answers, what it refuses, and a model that is replaced."""

import base64
import json
import re
import shutil

import numpy as np
import pytest

from apps.serve import answers, waiting
from apps.serve.app import STATIC, make_app
from apps.serve.newest_model import NewestModel
from apps.web.request_guard import HEADERS
from fer_tasks.labels import EXPRESSIONS
from fer_tasks.storage.images import decode_image
from testing.tiny_model import CROP, write_tiny_model
from testing.web import HOME
from tests.predicting import ONE, PHOTO, TWO, bomb, group, saved
from tests.serving import NOBODY, TWO_FACES, client_of, send, told_by_predict

FOREIGN = ("http://evil.example", "null", "http://127.0.0.1:4200", "https://127.0.0.1")


@pytest.fixture(scope="module")
def client(model):
    with client_of(model) as one:
        yield one


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_it_says_what_the_command_says_to_the_digit(client, predictor, form):
    data = saved(group(TWO, ONE), form)
    reply = send(client, data)
    assert reply.status_code == 200 and reply.headers["Content-Type"] == "application/json"
    told = reply.json()
    assert told["faces"] == told_by_predict(predictor, data) and len(told["faces"])
    assert (told["model"], told["height"], told["width"]) == (predictor.model, 300, 400)
    assert round(sum(told["faces"][0][name] for name in EXPRESSIONS), 4) == 1


def test_the_type_may_be_any_picture_s_or_none(client):
    whole = send(client, TWO_FACES).json()
    for kind in ("image/jpeg", "IMAGE/PNG; a=b", "application/octet-stream"):
        assert client.post("/predict", content=TWO_FACES, headers={"Content-Type": kind}).json() == whole
    assert client.post("/predict", content=TWO_FACES).json() == whole


def test_without_a_face_there_are_no_faces(client, predictor):
    nothing = {"model": predictor.model, "width": 120, "height": 90, "faces": []}
    assert send(client, NOBODY).json() == send(client, NOBODY, "/predict?crops=true").json() == nothing


def test_crops_are_what_the_model_was_shown(client, predictor):
    faces = send(client, TWO_FACES, "/predict?crops=true").json()["faces"]
    assert len(faces) == 2
    for face in faces:
        kind, _, data = face.pop("crop").partition(",")
        crop = decode_image(base64.b64decode(data), 10**6)
        assert kind == "data:image/png;base64" and crop.shape == (CROP["size"], CROP["size"], 3)
        shares = predictor._ask([crop])[0]
        np.testing.assert_allclose(shares, [face[name] for name in EXPRESSIONS], atol=6e-5)
    assert faces == told_by_predict(predictor, TWO_FACES)


@pytest.mark.parametrize(
    ("data", "status", "reason"),
    [
        (b"", 415, "0 bytes in none of the formats"),
        (b"/etc/passwd", 415, "11 bytes in none of the formats"),
        (b"%PDF-1.7 ...", 415, "PDF; supported formats"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', 415, "SVG; supported formats"),
        (TWO_FACES[:2000], 422, "send the whole file once more"),
        (saved(PHOTO, "JPEG")[:3000], 422, "send the whole file once more"),
        (bomb(), 413, "30000 x 30000 px > 25000000 px; send a smaller copy"),
    ],
    ids="nothing path pdf svg half_a_png half_a_jpeg bomb".split(),
)
def test_what_is_no_picture_is_refused_in_one_sentence(client, data, status, reason):
    reply = send(client, data)
    assert reply.status_code == status
    assert reason in reply.json()["detail"] and "\n" not in reply.json()["detail"]


def test_large_pictures_are_answered_too(client, predictor, monkeypatch):
    monkeypatch.setattr(answers, "LARGE", 100_000)
    assert send(client, TWO_FACES).json()["faces"] == told_by_predict(predictor, TWO_FACES)
    monkeypatch.setattr(answers, "MAX_PIXELS", 110_000)
    assert send(client, TWO_FACES).status_code == 413
    assert send(client, saved(PHOTO, "JPEG")).status_code == 200


def test_a_wrong_parameter_is_refused_in_one_sentence(client):
    reply = send(client, NOBODY, "/predict?crops=maybe")
    assert reply.status_code == 422 and reply.json()["detail"].startswith("crops: ")


@pytest.mark.parametrize("chunked", [False, True])
def test_too_many_bytes_are_refused_whatever_the_request_says_of_itself(client, monkeypatch, chunked):
    monkeypatch.setattr(waiting, "MAX_BODY", 100_000)
    body = iter([bytes(20_000)] * 6) if chunked else bytes(120_000)
    reply = send(client, body)
    assert reply.status_code == 413 and "more than 100,000 bytes" in reply.json()["detail"]
    assert send(client, NOBODY).status_code == 200


def test_an_error_of_its_own_shows_no_traceback(model, monkeypatch, caplog):
    monkeypatch.setattr(answers, "answer", lambda *_: 1 / 0)
    with client_of(model, raise_server_exceptions=False) as client:
        reply = send(client, NOBODY)
    assert (reply.status_code, reply.json()) == (
        500,
        {"detail": "an error of this program; its log has more"},
    )


# ── Who may ask ────────────────────────────────────────────────────────────────────────────────────────────


def test_another_origin_is_refused(client):
    for origin in FOREIGN:
        headers = {"Origin": origin, "Content-Type": "image/png"}
        assert client.post("/predict", content=NOBODY, headers=headers).status_code == 403
        assert client.get("/health", headers={"Origin": origin}).status_code == 403
    own = {"Origin": HOME, "Content-Type": "image/png"}
    assert client.post("/predict", content=NOBODY, headers=own).status_code == 200


def test_another_host_is_refused(client):
    for host in ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example"):
        assert client.get("/health", headers={"Host": host}).status_code == 400
        headers = {"Host": host, "Content-Type": "image/png", "Origin": f"http://{host}"}
        assert client.post("/predict", content=NOBODY, headers=headers).status_code == 400


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_what_a_form_could_send_is_refused(client, kind):
    reply = client.post("/predict", content=NOBODY, headers={"Content-Type": kind})
    assert reply.status_code == 415 and "image/jpeg" in reply.json()["detail"]


def test_what_the_browser_may_load_is_this_page_s_own(client):
    for path in ("/", "/ask.js", "/health", "/openapi.json", "/nowhere"):
        headers = client.get(path).headers
        assert "default-src 'self'" in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert {name.lower() for name in HEADERS} <= {*headers}


def test_the_page_names_no_other_place():
    for file in STATIC.iterdir():
        text = file.read_text().replace("http://www.w3.org/2000/svg", "").replace("http://127.0.0.1", "")
        assert not re.findall(r"https?://", text), file
        assert not re.findall(r"""(?:src|href|from|import)\s*=?\s*["']/""", text), file


@pytest.mark.parametrize(
    "path", ["/..%2fapp.py", "/%2e%2e/app.py", "/static/../app.py", "/docs", "/redoc", "/nowhere"]
)
def test_nothing_else_is_there(client, path):
    assert client.get(path).status_code == 404


def test_another_method_is_told_which_one_is_right(client):
    for method, path, right in (("GET", "/predict", "POST"), ("POST", "/health", "GET")):
        reply = client.request(method, path)
        assert (reply.status_code, reply.headers["Allow"]) == (405, right)


# ── The model ──────────────────────────────────────────────────────────────────────────────────────────────


def test_health_says_which_model_answers(client, predictor):
    told = client.get("/health").json()
    assert told == {
        "status": "ok",
        "fault": None,
        "model": predictor.model,
        "labels": [*EXPRESSIONS],
        "temperature": 1.5,
        "coverage": 0.9,
        "doubt": 0.3,
        "max_bytes": 20_000_000,
        "max_pixels_jpeg": 50_000_000,
        "max_pixels": 25_000_000,
        "waiting": 0,
    }


def test_another_model_in_the_folder_answers_the_next_request(tmp_path):
    folder = write_tiny_model(tmp_path / "model")
    with client_of(folder) as client:
        assert send(client, NOBODY).json()["model"] == "tiny@01234567"
        write_tiny_model(folder, name="other")
        assert send(client, NOBODY).json()["model"] == "other@01234567"
        shutil.rmtree(folder)
        write_tiny_model(folder, name="third")
        assert client.get("/health").json()["model"] == "third@01234567"


def test_while_a_broken_model_lies_there_the_former_one_answers(tmp_path, caplog):
    folder = write_tiny_model(tmp_path / "model")
    with client_of(folder) as client:
        before = send(client, TWO_FACES).json()
        (folder / "model.onnx").write_bytes(b"half of it")
        assert send(client, TWO_FACES).json() == before
        told = client.get("/health").json()
        assert told["status"] == "outdated" and "model.onnx is damaged" in told["fault"]
        (folder / "model.json").unlink()
        assert send(client, TWO_FACES).json() == before
        assert "has no model.json" in client.get("/health").json()["fault"]
        assert [record.getMessage().endswith("goes on answering") for record in caplog.records] == [True] * 2
        write_tiny_model(folder, name="whole")
        told = client.get("/health").json()
        assert (told["status"], told["fault"], told["model"]) == ("ok", None, "whole@01234567")


# ── The description ────────────────────────────────────────────────────────────────────────────────────────


def test_the_description_is_whole(client):
    told = client.get("/openapi.json").json()
    names = re.findall(r'"#/components/schemas/(\w+)"', json.dumps(told))
    assert {*names} == {*told["components"]["schemas"]} == {"Answer", "Face", "Health", "Problem"}
    replies = told["paths"]["/predict"]["post"]["responses"]
    assert {*replies} == {"200", "400", "403", "408", "413", "415", "422", "500", "503"}
    face = told["components"]["schemas"]["Face"]
    first = send(client, TWO_FACES, "/predict?crops=true").json()["faces"][0]
    assert {*face["properties"]} == {*first} and {*face["required"]} == {*first} - {"crop"}
    assert all(about.get("description") for about in face["properties"].values())


def test_any_request_is_answered_as_the_description_says(model):
    import schemathesis  # here: it takes time to import
    from hypothesis import HealthCheck, Phase, given, settings
    from schemathesis.specs.openapi.checks import positive_data_acceptance

    app = make_app(NewestModel(model), {"testserver"})  # as schemathesis calls it
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    quick = settings(
        max_examples=12,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    right, wrong = schemathesis.GenerationMode
    modes, seen = {"get": [right], "post": [right, wrong]}, set()
    for operation in schema.get_all_operations():
        for mode in modes[operation.ok().method]:

            @quick
            @given(case=operation.ok().as_strategy(generation_mode=mode))
            def ask(case):
                # Bytes that are no picture are refused, which no description can tell from others.
                reply = case.call_and_validate(excluded_checks=[positive_data_acceptance])
                seen.add((case.method, reply.status_code))

            ask()
    assert {("GET", 200), ("POST", 415)} <= seen and not [status for _, status in seen if status >= 500]
