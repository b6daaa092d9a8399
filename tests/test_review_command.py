"""`python -m apps.review`: a server that may be killed, mistakes in one line, import and export."""

import csv
import io
import signal
import threading

import httpx
import pandas as pd
import pytest

from apps.review.decision_log import DecisionLog
from apps.review.import_export import import_decisions, review_list
from apps.review.review_queue import open_queue
from fer_tasks.cleaning.decisions import BadDecisions, parse_decisions
from fer_tasks.errors import UserError
from fer_tasks.storage.dataset import read_dataset
from fer_tasks.storage.files import read_table, write_table
from testing.review_project import DECISIONS, served, write_faces
from testing.review_project import NO_DECISIONS as HEADER
from testing.reviewing import command, decision, page, post, rows


@pytest.mark.slow
def test_a_server_killed_in_mid_review_loses_no_confirmed_decision(review_project, drawn_faces):
    confirmed: list[str] = []
    with served(review_project) as (process, url):
        with httpx.Client(headers={"Origin": url}, trust_env=False) as browser:
            for k, (_, face) in enumerate(drawn_faces.iterrows()):
                body = {"reviewer": "kim", "decisions": [decision(face)]}
                if k == 20:
                    threading.Thread(target=process.send_signal, args=(signal.SIGKILL,)).start()
                try:
                    browser.post(f"{url}/api/decisions", json=body).raise_for_status()
                except httpx.HTTPError:
                    break
                confirmed.append(face["image_id"])
        assert process.wait() == -signal.SIGKILL
    recorded = parse_decisions((review_project / DECISIONS).read_text())["image_id"].tolist()
    assert 20 <= len(confirmed) < len(drawn_faces) and recorded[: len(confirmed)] == confirmed
    with served(review_project) as (_, url):
        told = httpx.get(f"{url}/api/changes", trust_env=False).json()["faces"]
        assert set(confirmed) <= set(told)


def test_a_broken_file_at_the_start_is_one_line_that_names_its_line(review_project):
    with (review_project / DECISIONS).open("a") as file:
        file.write("0123456789abcdef-0,1,delete,,kim,1,\n")
    done = command(review_project)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "review/decisions.csv: line 2: unknown verdict 'delete'" in done.stderr


def test_without_clean_faces_one_line_says_what_makes_them(review_project):
    (review_project / "data").unlink()
    done = command(review_project)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "data/clean is missing or incomplete; run `dvc repro clean`" in done.stderr


@pytest.mark.slow
def test_an_address_that_cannot_be_served_is_one_line(review_project):
    with served(review_project) as (_, url):
        taken = command(review_project, "--port", url.rpartition(":")[2])
    every = command(review_project, "--host", "0.0.0.0")
    assert "choose another with --host and --port" in taken.stderr
    assert "give one address of this machine" in every.stderr
    assert [(done.returncode, done.stderr.count("\n")) for done in (taken, every)] == [(1, 1)] * 2


def test_clean_of_other_faces_is_no_desk(drawn_data, tmp_path):
    write_faces(tmp_path / "data", 10, seed=1)
    write_faces(tmp_path / "other", 10, seed=2)
    (tmp_path / "data" / "clean").rename(tmp_path / "data" / "old")
    (tmp_path / "other" / "clean").rename(tmp_path / "data" / "clean")
    with pytest.raises(UserError, match="made from other faces than .*`dvc repro clean`"):
        open_queue(tmp_path / "data")


@pytest.mark.slow
def test_decisions_made_elsewhere_are_added_once_and_counted(review_project, drawn_faces):
    here = review_project / DECISIONS
    one, two = drawn_faces.iloc[0], drawn_faces.iloc[1]
    known = f"{one['image_id']},{one['pixels']},keep,,kim,1,"
    here.write_text(f"{HEADER}{known}\n")
    (review_project / "theirs.csv").write_text(
        f"{HEADER}{known}\n{one['image_id']},{one['pixels']},reject,,lee,2,\n"
        f"{two['image_id']},old,reject,,lee,3,\n{'f' * 16}-0,1,keep,,lee,4,\n"
    )
    said = command(review_project, "import", "theirs.csv").stdout
    assert "3 new decisions, 1 already recorded" in said
    assert "of the new: 1 stale (pixels changed), 1 unknown" in said
    assert "1 faces are newly disputed" in said
    assert "0 new decisions, 4 already recorded" in command(review_project, "import", "theirs.csv").stdout
    assert len(parse_decisions(here.read_text())) == 4


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ("{id},{pixels},delete,,lee,2,", "theirs.csv: line 3: unknown verdict 'delete'"),
        ("{id},{pixels},kee", "theirs.csv: line 3: 3 fields"),
        ("{id},{pixels},withdraw,,max,2,", "theirs.csv: line 3: max has no decision on"),
    ],
)
def test_of_a_broken_import_nothing_is_added(drawn_data, decisions, drawn_faces, tmp_path, second, message):
    face = drawn_faces.iloc[0].rename({"image_id": "id"})
    good, second = (text.format(**face) for text in ("{id},{pixels},keep,,lee,1,", second))
    (tmp_path / "theirs.csv").write_text(f"{HEADER}{good}\n{second}\n")
    with pytest.raises(BadDecisions, match=message):
        import_decisions(tmp_path / "theirs.csv", open_queue(drawn_data)(), DecisionLog(decisions))
    assert decisions.read_text() == HEADER


def test_what_was_taken_back_here_is_not_taken_back_again_from_elsewhere(
    drawn_data, decisions, drawn_faces, tmp_path
):
    face = ",".join(drawn_faces.loc[0, ["image_id", "pixels"]])
    decisions.write_text(f"{HEADER}{face},keep,,kim,1,\n{face},withdraw,,kim,2,\n")
    (tmp_path / "theirs.csv").write_text(f"{HEADER}{face},keep,,kim,1,\n{face},withdraw,,kim,3,\n")
    before = decisions.read_text()
    with pytest.raises(BadDecisions, match="kim has no decision on"):
        import_decisions(tmp_path / "theirs.csv", open_queue(drawn_data)(), DecisionLog(decisions))
    assert decisions.read_text() == before


def test_the_review_list_goes_out_as_csv(client, drawn_data, decisions, drawn_faces):
    post(client, decision(drawn_faces.iloc[0], "relabel", label="fear"))
    table = pd.read_csv(io.StringIO(client.get("/review.csv").text), keep_default_na=False)
    assert sorted(table["image_id"]) == sorted(drawn_faces["image_id"])
    row = table.set_index("image_id").loc[drawn_faces["image_id"].iloc[0]]
    assert (row["state"], row["verdict"], row["decided_label"], row["reviewer"]) == (
        "decided",
        "relabel",
        "fear",
        "kim",
    )
    doubted = read_table(drawn_data / "clean" / "doubts.csv").set_index("image_id")["rule"]
    assert all(
        rule in table.set_index("image_id").loc[image_id, "doubts"] for image_id, rule in doubted.items()
    )
    assert review_list(open_queue(drawn_data)(), DecisionLog(decisions)).astype(str).equals(table.astype(str))


@pytest.mark.parametrize("begins", ["=", "+", "-", "@", "\t", "\r", "＝"])
def test_a_name_or_a_note_is_no_formula_in_a_spreadsheet(tmp_path, decisions, begins):
    face, name = write_faces(tmp_path / "data", 12).iloc[0], f'{begins}HYPERLINK("http://a.example","x").jpg'
    textfree = read_dataset(tmp_path / "data" / "textfree")
    write_table(textfree.root / "manifest.csv", textfree.manifest.assign(source=name))
    client = page(tmp_path / "data", decisions)
    post(client, decision(face, "reject", note="=1+1"))
    sent = list(csv.DictReader(io.StringIO(client.get("/review.csv").text, newline="")))
    assert {row["source"] for row in sent} == {f"'{name}"} and {row["note"] for row in sent} == {"", "'=1+1"}
    assert not [cell for row in sent for cell in row.values() if cell.startswith((begins, "="))]
    assert rows(decisions)[0][6] == "=1+1", "decisions are kept as they were said"


@pytest.mark.slow
def test_the_list_is_written_to_a_file_too(review_project, drawn_faces):
    said = command(review_project, "export", "list.csv").stdout
    assert said == "list.csv: 40 faces, 0 decided\n"
    assert len(pd.read_csv(review_project / "list.csv")) == len(drawn_faces)
