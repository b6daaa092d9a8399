"""The review page's server: what is said is on the disk, and nobody overwrites anybody."""

import io
import os
import threading

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fer_tasks.cleaning.decisions import parse_decisions
from fer_tasks.storage.dataset import image_path, read_dataset
from fer_tasks.storage.files import read_table
from testing.review_project import NO_DECISIONS as HEADER
from testing.review_project import write_faces
from testing.reviewing import decision, page, post, rows


def test_a_decision_is_a_row_of_the_file_when_the_page_hears_of_it(client, decisions, drawn_faces):
    answer = post(client, decision(drawn_faces.iloc[0], "relabel", label="sad", note='a "note", really'))
    assert answer.status_code == 200
    (row,) = rows(decisions)
    face = drawn_faces.iloc[0]
    assert row[:5] == [face["image_id"], face["pixels"], "relabel", "sad", "kim"]
    assert row[6] == 'a "note", really' and pd.Timestamp(row[5]).tz is not None
    state = answer.json()["faces"][face["image_id"]]
    assert (state["seen"], state["state"], state["stands"][0]["label"]) == (1, "decided", "sad")


def test_the_same_said_again_after_a_withdrawal_is_another_row(client, decisions, drawn_faces):
    for seen, verdict in enumerate(["keep", "withdraw", "keep", "withdraw", "keep"]):
        assert post(client, decision(drawn_faces.iloc[0], verdict, seen)).status_code == 200
    assert len(parse_decisions(decisions.read_text())) == 5


def test_a_file_without_a_last_line_break_goes_on_with_a_line_of_its_own(drawn_data, decisions, drawn_faces):
    face = drawn_faces.iloc[1]
    decisions.write_text(f"{HEADER}{face['image_id']},{face['pixels']},keep,,lee,1,")
    assert post(page(drawn_data, decisions), decision(drawn_faces.iloc[0])).status_code == 200
    assert parse_decisions(decisions.read_text())["reviewer"].tolist() == ["lee", "kim"]


def test_two_people_at_once_do_not_overwrite_each_other(drawn_data, client, decisions, drawn_faces):
    other, face = page(drawn_data, decisions), drawn_faces.iloc[0]  # a server of its own on the same file
    assert post(other, decision(face, "reject"), reviewer="lee").status_code == 200
    late = post(client, decision(drawn_faces.iloc[1]), decision(face))
    assert late.status_code == 409
    assert [row["reviewer"] for row in late.json()["faces"][face["image_id"]]["stands"]] == ["lee"]
    assert len(rows(decisions)) == 1  # of the two words neither was recorded
    anew = post(client, decision(face, seen=1))
    assert anew.json()["faces"][face["image_id"]]["state"] == "disputed"


def test_what_others_said_is_told_from_where_one_has_read(drawn_data, client, decisions, drawn_faces):
    cursor = client.get("/api/changes").json()["cursor"]
    post(page(drawn_data, decisions), decision(drawn_faces.iloc[3]), reviewer="lee")
    news = client.get("/api/changes", params={"since": cursor}).json()
    assert list(news["faces"]) == [drawn_faces["image_id"].iloc[3]] and not news["all"]
    assert client.get("/api/changes", params={"since": news["cursor"]}).json()["faces"] == {}


def test_a_file_that_was_rewritten_is_told_as_a_whole(client, decisions, drawn_faces):
    post(client, decision(drawn_faces.iloc[0]))
    cursor = client.get("/api/changes").json()["cursor"]
    decisions.write_text(HEADER)
    news = client.get("/api/changes", params={"since": cursor}).json()
    assert news["all"] and news["faces"] == {}


def test_stale_and_unknown_decisions_are_counted_and_not_applied(drawn_data, decisions, drawn_faces):
    known, gone = drawn_faces["image_id"].iloc[0], "f" * 16 + "-0"
    decisions.write_text(f"{HEADER}{known},old,reject,,lee,1,\n{gone},1,reject,,lee,1,\n")
    news = page(drawn_data, decisions).get("/api/changes").json()
    assert news["not_applied"] == {"stale": 1, "unknown": 1}
    assert news["faces"][known]["state"] == "stale" and news["faces"][known]["stands"] == []


def test_nobody_takes_back_what_he_has_not_said(client, decisions, drawn_faces):
    post(client, decision(drawn_faces.iloc[0]))
    assert post(client, decision(drawn_faces.iloc[0], "withdraw", 1), reviewer="lee").status_code == 503
    assert len(rows(decisions)) == 1


def test_threads_that_decide_at_the_same_time_all_get_their_rows(client, decisions, drawn_faces):
    threads = [
        threading.Thread(target=post, args=(client, decision(face))) for _, face in drawn_faces.iterrows()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(row[0] for row in rows(decisions)) == sorted(drawn_faces["image_id"])


def test_a_face_that_has_changed_since_is_not_judged(client, decisions, drawn_faces):
    answer = post(client, decision(drawn_faces.iloc[0].replace(drawn_faces["pixels"].iloc[0], "0" * 16)))
    assert answer.status_code == 410 and not rows(decisions)


def test_the_list_holds_every_face_the_most_doubted_first(client, drawn_data, drawn_faces):
    sent = client.get("/api/faces").json()
    doubts = read_table(drawn_data / "clean" / "doubts.csv").groupby("image_id")["score"].sum()
    assert sorted(face[0] for face in sent["faces"]) == sorted(drawn_faces["image_id"])
    worst = [doubts.get(face[0], 0) for face in sent["faces"]]
    assert worst == sorted(worst, reverse=True) and worst[0] > 0
    labels = dict(zip(drawn_faces["image_id"], drawn_faces["label"], strict=True))
    assert all(sent["expressions"][face[2]] == labels[face[0]] for face in sent["faces"])


def test_a_picture_is_kept_by_the_browser_for_good(client, drawn_data, drawn_faces):
    face = drawn_faces.iloc[0]
    url = f"/faces/{face['image_id']}/{face['pixels']}"
    first = client.get(url)
    assert first.content == image_path(drawn_data / "textfree", face["file"]).read_bytes()
    assert "immutable" in first.headers["Cache-Control"]
    again = client.get(url, headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304 and not again.content


def test_all_that_is_known_of_a_face(client, drawn_faces):
    face = drawn_faces.iloc[0]
    post(client, decision(face, "reject", note="drawing"))
    known = client.get(f"/api/faces/{face['image_id']}").json()
    assert known["box"] == [40, 70, 100, 90] and len(known["landmarks"]) == 5
    assert known["size"] == [180, 240] and known["measures"]["yaw"] >= 0
    assert [row["note"] for row in known["decisions"]] == ["drawing"]
    assert client.get(f"/photos/{face['image_id']}").headers["Content-Type"] == "image/jpeg"


@pytest.mark.parametrize("form", ["HEIF", "TIFF", "AVIF"])
def test_photos_that_no_browser_shows_are_sent_as_jpeg(tmp_path, decisions, form):
    face = write_faces(tmp_path / "data", 12).iloc[0]
    photo = read_dataset(tmp_path / "data" / "raw").manifest.set_index("image_id").loc[face["parent_id"]]
    Image.new("RGB", (240, 180), (200, 30, 30)).save(tmp_path / "data" / "raw" / photo["file"], form)
    sent = page(tmp_path / "data", decisions).get(f"/photos/{face['image_id']}")
    shown = Image.open(io.BytesIO(sent.content))
    assert (sent.headers["Content-Type"], shown.format, shown.size) == ("image/jpeg", "JPEG", (240, 180))
    assert np.abs(np.asarray(shown).astype(int) - [200, 30, 30]).max() < 8


def test_cleaning_that_runs_meanwhile_is_seen(tmp_path, decisions):
    write_faces(tmp_path / "data", 12, seed=1)
    client = page(tmp_path / "data", decisions)
    before = client.get("/api/changes").json()["made"]
    write_faces(tmp_path / "data", 14, seed=2)
    assert client.get("/api/changes").json()["made"] != before
    assert len(client.get("/api/faces").json()["faces"]) == 14


def test_a_file_that_breaks_while_serving_is_told_and_not_written_to(client, decisions, drawn_faces):
    with decisions.open("a") as file:
        file.write("0123456789abcdef-0,1,kee")
    before = decisions.read_bytes()
    for answer in (post(client, decision(drawn_faces.iloc[0])), client.get("/api/changes")):
        assert answer.status_code == 503 and "line 2: 3 fields, not 7" in answer.json()["detail"]
    assert decisions.read_bytes() == before
    decisions.write_text(HEADER)
    assert post(client, decision(drawn_faces.iloc[0])).status_code == 200


def test_a_full_disk_leaves_the_file_as_it_was_and_says_so(drawn_data, small_disk, drawn_faces):
    decisions = small_disk / "decisions.csv"
    decisions.write_text(HEADER)
    client = page(drawn_data, decisions)
    assert post(client, decision(drawn_faces.iloc[0])).status_code == 200
    room = os.statvfs(small_disk)
    (small_disk / "filler").write_bytes(b"\0" * (room.f_bavail * room.f_frsize))
    before = decisions.read_bytes()
    many = [
        decision(face, note="n" * 200) for _, face in drawn_faces.iloc[1:].iterrows()
    ]  # more than what a page holds
    answer = post(client, *many)
    assert answer.status_code == 503 and "No space left" in answer.json()["detail"]
    assert decisions.read_bytes() == before
    (small_disk / "filler").unlink()
    assert post(client, *many).status_code == 200 and len(rows(decisions)) == len(drawn_faces)
