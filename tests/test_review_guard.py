"""Who may not ask the review page's server, and for what."""

import pytest

from apps.review.app import MAX_BODY
from testing.reviewing import decision, post, rows


def test_another_origin_is_refused(client, decisions, drawn_faces):
    body = {"reviewer": "kim", "decisions": [decision(drawn_faces.iloc[0])]}
    for origin in ("http://evil.example", "null", "http://127.0.0.1:4200", "https://127.0.0.1"):
        assert client.post("/api/decisions", json=body, headers={"Origin": origin}).status_code == 403
    assert client.get("/api/faces", headers={"Origin": "http://evil.example"}).status_code == 403
    del client.headers["Origin"]
    assert client.post("/api/decisions", json=body).status_code == 403
    assert not rows(decisions)


def test_another_host_is_refused(client):
    del client.headers["Origin"]
    for host in ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example"):
        assert client.get("/api/faces", headers={"Host": host}).status_code == 400


def test_a_body_that_a_form_could_send_is_refused(client, decisions):
    plain = client.post("/api/decisions", content="{}", headers={"Content-Type": "text/plain"})
    assert plain.status_code == 415 and not rows(decisions)


@pytest.mark.parametrize("chunked", [False, True])
def test_an_oversized_body_is_refused_whatever_it_says_of_itself(client, decisions, chunked):
    part = b" " * (MAX_BODY // 4)
    body = iter([part] * 5) if chunked else part * 5
    answer = client.post("/api/decisions", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413 and not rows(decisions)


@pytest.mark.parametrize(
    "path",
    [
        "/faces/..%2f..%2fraw%2fmanifest.csv/x",
        "/photos/..%2f..%2f..%2fetc%2fpasswd",
        "/api/faces/%2e%2e%2fclean%2fdoubts.csv",
        "/..%2fbook.py",
        "/%2e%2e/%2e%2e/app.py",
        "/static/../app.py",
        "/faces/0123456789abcdef-0/0",
        "/docs",
        "/openapi.json",
    ],
)
def test_no_path_comes_from_a_request(client, path):
    assert client.get(path).status_code == 404


@pytest.mark.parametrize(
    "changed",
    [
        {"reviewer": "  "},
        {"reviewer": "kim\nlee"},
        {"reviewer": "k" * 61},
        {"reviewer": "\x07kim"},
        {"decisions": []},
        {"more": 1},
    ],
)
def test_a_request_that_makes_no_sense_is_refused(client, decisions, drawn_faces, changed):
    body = {"reviewer": "kim", "decisions": [decision(drawn_faces.iloc[0])], **changed}
    assert client.post("/api/decisions", json=body).status_code == 422 and not rows(decisions)


@pytest.mark.parametrize(
    "changed",
    [
        {"verdict": "delete"},
        {"verdict": "relabel"},
        {"verdict": "relabel", "label": "bored"},
        {"label": "sad"},
        {"note": "one\r\ntwo"},
        {"note": "one\u2028two"},
        {"note": "n" * 201},
        {"seen": -1},
    ],
)
def test_a_decision_that_makes_no_sense_is_refused(client, decisions, drawn_faces, changed):
    assert post(client, {**decision(drawn_faces.iloc[0]), **changed}).status_code == 422 and not rows(
        decisions
    )


def test_a_request_has_a_bound_and_a_face_only_once(client, decisions, drawn_faces):
    assert post(client, decision(drawn_faces.iloc[0]), decision(drawn_faces.iloc[0])).status_code == 422
    many = [{**decision(drawn_faces.iloc[0]), "image_id": f"{i:016x}-0"} for i in range(501)]
    assert post(client, *many).status_code == 422 and not rows(decisions)


def test_what_the_browser_may_load_is_this_page_s_own(client):
    for path in ("/", "/main.js", "/api/faces"):
        headers = client.get(path).headers
        assert "default-src 'self'" in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
