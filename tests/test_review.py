"""The review page's server: what is said is on the disk, and nobody overwrites anybody."""

import csv
import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pandas as pd
import pytest
from starlette.testclient import TestClient

from apps.review.app import make_app
from apps.review.book import Book
from apps.review.desk import open_desk
from apps.review.exchange import import_decisions, review_list
from apps.review.guard import MAX_BODY
from benchmarks.generated_faces import write_faces
from fer_tasks.cleaning.decisions import COLUMNS, BadDecisions, parse_decisions
from fer_tasks.dataset import read_table
from fer_tasks.errors import UserError

ROOT = Path(__file__).parents[1]
HEADER = ",".join(COLUMNS) + "\n"
HOME = "http://127.0.0.1"


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    where = tmp_path_factory.mktemp("review") / "data"
    write_faces(where, 40)
    return where


@pytest.fixture(scope="module")
def faces(data) -> pd.DataFrame:
    return read_table(data / "textfree" / "manifest.csv")


@pytest.fixture
def decisions(tmp_path) -> Path:
    path = tmp_path / "decisions.csv"
    path.write_text(HEADER)
    return path


def page(data: Path, decisions: Path) -> TestClient:
    app = make_app(open_desk(data), Book(decisions), {"127.0.0.1", "localhost"})
    return TestClient(app, HOME, headers={"Origin": HOME})


@pytest.fixture
def client(data, decisions) -> TestClient:
    return page(data, decisions)


def word(face: pd.Series, verdict: str = "keep", seen: int = 0, **more: str) -> dict:
    return {
        "image_id": face["image_id"],
        "pixels": face["pixels"],
        "seen": seen,
        "verdict": verdict,
        **more,
    }


def say(client: TestClient, *words: dict, reviewer: str = "kim") -> httpx.Response:
    return client.post("/api/decisions", json={"reviewer": reviewer, "decisions": list(words)})


def rows(decisions: Path) -> list[list[str]]:
    return list(csv.reader(io.StringIO(decisions.read_text())))[1:]


# ── What is said ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_decision_is_a_row_of_the_file_when_the_page_hears_of_it(client, decisions, faces):
    answer = say(client, word(faces.iloc[0], "relabel", label="sad", note='a "note", really'))
    assert answer.status_code == 200
    (row,) = rows(decisions)
    face = faces.iloc[0]
    assert row[:5] == [face["image_id"], face["pixels"], "relabel", "sad", "kim"]
    assert row[6] == 'a "note", really' and pd.Timestamp(row[5]).tz is not None
    state = answer.json()["faces"][face["image_id"]]
    assert (state["seen"], state["state"], state["stands"][0]["label"]) == (1, "decided", "sad")


def test_the_same_said_again_after_a_withdrawal_is_another_row(client, decisions, faces):
    for seen, verdict in enumerate(["keep", "withdraw", "keep", "withdraw", "keep"]):
        assert say(client, word(faces.iloc[0], verdict, seen)).status_code == 200
    assert len(parse_decisions(decisions.read_text())) == 5


def test_a_file_without_a_last_line_break_is_gone_on_with_on_a_line_of_its_own(data, decisions, faces):
    face = faces.iloc[1]
    decisions.write_text(f"{HEADER}{face['image_id']},{face['pixels']},keep,,lee,1,")
    assert say(page(data, decisions), word(faces.iloc[0])).status_code == 200
    assert parse_decisions(decisions.read_text())["reviewer"].tolist() == ["lee", "kim"]


def test_two_people_at_once_do_not_overwrite_each_other(data, client, decisions, faces):
    other, face = page(data, decisions), faces.iloc[0]  # a server of its own on the same file
    assert say(other, word(face, "reject"), reviewer="lee").status_code == 200
    late = say(client, word(faces.iloc[1]), word(face))
    assert late.status_code == 409
    assert [row["reviewer"] for row in late.json()["faces"][face["image_id"]]["stands"]] == ["lee"]
    assert len(rows(decisions)) == 1  # of the two words neither was recorded
    anew = say(client, word(face, seen=1))
    assert anew.json()["faces"][face["image_id"]]["state"] == "disputed"


def test_what_others_said_is_told_from_where_one_has_read(data, client, decisions, faces):
    place = client.get("/api/changes").json()["place"]
    say(page(data, decisions), word(faces.iloc[3]), reviewer="lee")
    news = client.get("/api/changes", params={"since": place}).json()
    assert list(news["faces"]) == [faces["image_id"].iloc[3]] and not news["all"]
    assert client.get("/api/changes", params={"since": news["place"]}).json()["faces"] == {}


def test_a_file_that_was_rewritten_is_told_as_a_whole(client, decisions, faces):
    say(client, word(faces.iloc[0]))
    place = client.get("/api/changes").json()["place"]
    decisions.write_text(HEADER)
    news = client.get("/api/changes", params={"since": place}).json()
    assert news["all"] and news["faces"] == {}


def test_stale_and_unknown_decisions_are_counted_and_not_applied(data, decisions, faces):
    known, gone = faces["image_id"].iloc[0], "f" * 16 + "-0"
    decisions.write_text(f"{HEADER}{known},old,reject,,lee,1,\n{gone},1,reject,,lee,1,\n")
    news = page(data, decisions).get("/api/changes").json()
    assert news["not_applied"] == {"stale": 1, "unknown": 1}
    assert news["faces"][known]["state"] == "stale" and news["faces"][known]["stands"] == []


def test_nobody_takes_back_what_he_has_not_said(client, decisions, faces):
    say(client, word(faces.iloc[0]))
    assert say(client, word(faces.iloc[0], "withdraw", 1), reviewer="lee").status_code == 503
    assert len(rows(decisions)) == 1


def test_threads_that_decide_at_the_same_time_all_get_their_rows(client, decisions, faces):
    threads = [threading.Thread(target=say, args=(client, word(face))) for _, face in faces.iterrows()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(row[0] for row in rows(decisions)) == sorted(faces["image_id"])


def test_a_face_that_has_changed_since_is_not_judged(client, decisions, faces):
    answer = say(client, word(faces.iloc[0].replace(faces["pixels"].iloc[0], "0" * 16)))
    assert answer.status_code == 410 and not rows(decisions)


# ── What is on the desk ────────────────────────────────────────────────────────────────────────────────────


def test_the_list_holds_every_face_the_most_doubted_first(client, data, faces):
    sent = client.get("/api/faces").json()
    doubts = read_table(data / "clean" / "doubts.csv").groupby("image_id")["score"].sum()
    assert sorted(face[0] for face in sent["faces"]) == sorted(faces["image_id"])
    worst = [doubts.get(face[0], 0) for face in sent["faces"]]
    assert worst == sorted(worst, reverse=True) and worst[0] > 0
    labels = dict(zip(faces["image_id"], faces["label"], strict=True))
    assert all(sent["expressions"][face[2]] == labels[face[0]] for face in sent["faces"])


def test_a_picture_is_kept_by_the_browser_for_good(client, data, faces):
    face = faces.iloc[0]
    url = f"/faces/{face['image_id']}/{face['pixels']}"
    first = client.get(url)
    assert first.content == (data / "textfree" / face["file"]).read_bytes()
    assert "immutable" in first.headers["Cache-Control"]
    again = client.get(url, headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304 and not again.content


def test_all_that_is_known_of_a_face(client, faces):
    face = faces.iloc[0]
    say(client, word(face, "reject", note="drawing"))
    known = client.get(f"/api/faces/{face['image_id']}").json()
    assert known["box"] == [40, 70, 100, 90] and len(known["landmarks"]) == 5
    assert known["size"] == [180, 240] and known["measures"]["yaw"] >= 0
    assert [row["note"] for row in known["said"]] == ["drawing"]
    assert client.get(f"/photos/{face['image_id']}").headers["Content-Type"] == "image/jpeg"


def test_cleaning_that_runs_meanwhile_is_seen(tmp_path, decisions):
    write_faces(tmp_path / "data", 12, seed=1)
    client = page(tmp_path / "data", decisions)
    before = client.get("/api/changes").json()["made"]
    write_faces(tmp_path / "data", 14, seed=2)
    assert client.get("/api/changes").json()["made"] != before
    assert len(client.get("/api/faces").json()["faces"]) == 14


# ── Who may not ask, and what ──────────────────────────────────────────────────────────────────────────────


def test_another_origin_is_refused(client, decisions, faces):
    body = {"reviewer": "kim", "decisions": [word(faces.iloc[0])]}
    for origin in ("http://evil.example", "null", "http://127.0.0.1:4200", "https://127.0.0.1"):
        assert client.post("/api/decisions", json=body, headers={"Origin": origin}).status_code == 403
    assert client.get("/api/faces", headers={"Origin": "http://evil.example"}).status_code == 403
    del client.headers["Origin"]
    assert client.post("/api/decisions", json=body).status_code == 403
    assert not rows(decisions)


def test_another_host_is_refused(client):
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
def test_a_request_that_makes_no_sense_is_refused(client, decisions, faces, changed):
    body = {"reviewer": "kim", "decisions": [word(faces.iloc[0])], **changed}
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
def test_a_decision_that_makes_no_sense_is_refused(client, decisions, faces, changed):
    assert say(client, {**word(faces.iloc[0]), **changed}).status_code == 422 and not rows(decisions)


def test_a_request_has_a_bound_and_a_face_only_once(client, decisions, faces):
    assert say(client, word(faces.iloc[0]), word(faces.iloc[0])).status_code == 422
    many = [{**word(faces.iloc[0]), "image_id": f"{i:016x}-0"} for i in range(501)]
    assert say(client, *many).status_code == 422 and not rows(decisions)


def test_what_the_browser_may_load_is_this_page_s_own(client):
    for path in ("/", "/main.js", "/api/faces"):
        headers = client.get(path).headers
        assert "default-src 'self'" in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"


# ── Faults ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_file_that_breaks_while_serving_is_told_and_not_written_to(client, decisions, faces):
    with decisions.open("a") as file:
        file.write("0123456789abcdef-0,1,kee")
    before = decisions.read_bytes()
    for answer in (say(client, word(faces.iloc[0])), client.get("/api/changes")):
        assert answer.status_code == 503 and "line 2: 3 fields, not 7" in answer.json()["detail"]
    assert decisions.read_bytes() == before
    decisions.write_text(HEADER)
    assert say(client, word(faces.iloc[0])).status_code == 200


def test_a_full_disk_leaves_the_file_as_it_was_and_says_so(data, small_disk, faces):
    decisions = small_disk / "decisions.csv"
    decisions.write_text(HEADER)
    client = page(data, decisions)
    assert say(client, word(faces.iloc[0])).status_code == 200
    room = os.statvfs(small_disk)
    (small_disk / "filler").write_bytes(b"\0" * (room.f_bavail * room.f_frsize))
    before = decisions.read_bytes()
    many = [
        word(face, note="n" * 200) for _, face in faces.iloc[1:].iterrows()
    ]  # more than what a page holds
    answer = say(client, *many)
    assert answer.status_code == 503 and "No space left" in answer.json()["detail"]
    assert decisions.read_bytes() == before
    (small_disk / "filler").unlink()
    assert say(client, *many).status_code == 200 and len(rows(decisions)) == len(faces)


@pytest.fixture
def project(data, tmp_path) -> Path:
    """A folder in which the page can be served."""
    (tmp_path / "review").mkdir()
    (tmp_path / "review" / "decisions.csv").write_text(HEADER)
    (tmp_path / "data").symlink_to(data)
    return tmp_path


def command(project: Path, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "apps.review", *arguments],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )


@contextmanager
def served(project: Path) -> Iterator[tuple[subprocess.Popen, str]]:
    """A server of its own, as `make review` starts it; yields it and its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "apps.review", "--port", "0"],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline()
        yield process, line.split(" at ")[1].split("/ (")[0]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_server_killed_in_mid_review_loses_no_confirmed_decision(project, faces):
    confirmed: list[str] = []
    with served(project) as (process, url):
        with httpx.Client(headers={"Origin": url}, trust_env=False) as browser:
            for k, (_, face) in enumerate(faces.iterrows()):
                body = {"reviewer": "kim", "decisions": [word(face)]}
                if k == 20:
                    threading.Thread(target=process.send_signal, args=(signal.SIGKILL,)).start()
                try:
                    browser.post(f"{url}/api/decisions", json=body).raise_for_status()
                except httpx.HTTPError:
                    break
                confirmed.append(face["image_id"])
        assert process.wait() == -signal.SIGKILL
    recorded = parse_decisions((project / "review" / "decisions.csv").read_text())["image_id"].tolist()
    assert 20 <= len(confirmed) < len(faces) and recorded[: len(confirmed)] == confirmed
    with served(project) as (_, url):
        told = httpx.get(f"{url}/api/changes", trust_env=False).json()["faces"]
        assert set(confirmed) <= set(told)


def test_a_broken_file_at_the_start_is_one_line_that_names_its_line(project):
    with (project / "review" / "decisions.csv").open("a") as file:
        file.write("0123456789abcdef-0,1,delete,,kim,1,\n")
    done = command(project)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "review/decisions.csv: line 2: verdict 'delete'" in done.stderr


def test_without_clean_faces_one_line_says_what_makes_them(project):
    (project / "data").unlink()
    done = command(project)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "data/clean is missing or incomplete; `dvc repro clean` makes it" in done.stderr


def test_an_address_that_cannot_be_served_is_one_line(project):
    with served(project) as (_, url):
        taken = command(project, "--port", url.rpartition(":")[2])
    every = command(project, "--host", "0.0.0.0")
    assert "choose another with --host and --port" in taken.stderr
    assert "name one address of this machine" in every.stderr
    assert [(done.returncode, done.stderr.count("\n")) for done in (taken, every)] == [(1, 1)] * 2


def test_clean_of_other_faces_is_no_desk(data, tmp_path):
    write_faces(tmp_path / "data", 10, seed=1)
    write_faces(tmp_path / "other", 10, seed=2)
    (tmp_path / "data" / "clean").rename(tmp_path / "data" / "old")
    (tmp_path / "other" / "clean").rename(tmp_path / "data" / "clean")
    with pytest.raises(UserError, match="made from other faces than .*`dvc repro clean`"):
        open_desk(tmp_path / "data")


# ── Elsewhere and back ─────────────────────────────────────────────────────────────────────────────────────


def test_decisions_made_elsewhere_are_added_once_and_counted(project, faces):
    here = project / "review" / "decisions.csv"
    one, two = faces.iloc[0], faces.iloc[1]
    known = f"{one['image_id']},{one['pixels']},keep,,kim,1,"
    here.write_text(f"{HEADER}{known}\n")
    (project / "theirs.csv").write_text(
        f"{HEADER}{known}\n{one['image_id']},{one['pixels']},reject,,lee,2,\n"
        f"{two['image_id']},old,reject,,lee,3,\n{'f' * 16}-0,1,keep,,lee,4,\n"
    )
    said = command(project, "import", "theirs.csv").stdout
    assert "3 new decisions, 1 known already" in said
    assert "of the new ones 1 are stale (pixels changed) and 1 unknown" in said
    assert "1 faces are newly disputed" in said
    assert "0 new decisions, 4 known already" in command(project, "import", "theirs.csv").stdout
    assert len(parse_decisions(here.read_text())) == 4


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ("{id},{pixels},delete,,lee,2,", "theirs.csv: line 3: verdict 'delete'"),
        ("{id},{pixels},kee", "theirs.csv: line 3: 3 fields"),
        ("{id},{pixels},withdraw,,max,2,", "theirs.csv: line 3: max has said nothing"),
    ],
)
def test_of_a_broken_import_nothing_is_added(data, decisions, faces, tmp_path, second, message):
    face = faces.iloc[0].rename({"image_id": "id"})
    good, second = (text.format(**face) for text in ("{id},{pixels},keep,,lee,1,", second))
    (tmp_path / "theirs.csv").write_text(f"{HEADER}{good}\n{second}\n")
    with pytest.raises(BadDecisions, match=message):
        import_decisions(tmp_path / "theirs.csv", open_desk(data)(), Book(decisions))
    assert decisions.read_text() == HEADER


def test_what_was_taken_back_here_is_not_taken_back_again_from_elsewhere(data, decisions, faces, tmp_path):
    face = f"{faces['image_id'].iloc[0]},{faces['pixels'].iloc[0]}"
    decisions.write_text(f"{HEADER}{face},keep,,kim,1,\n{face},withdraw,,kim,2,\n")
    (tmp_path / "theirs.csv").write_text(f"{HEADER}{face},keep,,kim,1,\n{face},withdraw,,kim,3,\n")
    before = decisions.read_text()
    with pytest.raises(BadDecisions, match="kim has said nothing"):
        import_decisions(tmp_path / "theirs.csv", open_desk(data)(), Book(decisions))
    assert decisions.read_text() == before


def test_the_review_list_goes_out_as_csv(client, data, decisions, faces):
    say(client, word(faces.iloc[0], "relabel", label="fear"))
    table = pd.read_csv(io.StringIO(client.get("/review.csv").text), keep_default_na=False)
    assert sorted(table["image_id"]) == sorted(faces["image_id"])
    row = table.set_index("image_id").loc[faces["image_id"].iloc[0]]
    assert (row["state"], row["verdict"], row["decided_label"], row["reviewer"]) == (
        "decided",
        "relabel",
        "fear",
        "kim",
    )
    doubted = read_table(data / "clean" / "doubts.csv").set_index("image_id")["rule"]
    assert all(
        rule in table.set_index("image_id").loc[image_id, "doubts"] for image_id, rule in doubted.items()
    )
    assert review_list(open_desk(data)(), Book(decisions)).astype(str).equals(table.astype(str))


def test_the_list_is_written_to_a_file_too(project, faces):
    said = command(project, "export", "list.csv").stdout
    assert said == "list.csv: 40 faces, 0 decided\n"
    assert len(pd.read_csv(project / "list.csv")) == len(faces)
