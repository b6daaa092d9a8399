"""What people said: applied to the very pixels they saw, or reported."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_tasks.cleaning.decisions import (
    COLUMNS,
    BadDecisions,
    apply_decisions,
    is_disputed,
    parse_decisions,
    standing,
)

A, B, C, Z = (f"{letter * 16}-0" for letter in "abcf")
FACES = pd.DataFrame({"image_id": [A, B, C], "pixels": ["1", "2", "3"], "label": ["happy", "sad", "fear"]})
HEADER = ",".join(COLUMNS)


def said(*rows: str) -> pd.DataFrame:
    """Rows such as "A 1 relabel sad kim"; `.` is an empty field, and the time tells rows apart."""
    lines = [HEADER]
    for time, row in enumerate(rows):
        face, pixels, verdict, label, reviewer = row.replace(".", "").split(" ")
        lines.append(f"{globals()[face]},{pixels},{verdict},{label},{reviewer},{time},")
    return parse_decisions("\n".join(lines) + "\n")


def test_keep_reject_and_relabel():
    applied = apply_decisions(FACES, said("A 1 keep . kim", "B 2 reject . kim", "C 3 relabel Anger kim"))
    faces = applied.faces.set_index("image_id")
    assert faces["label"].to_dict() == {A: "happy", C: "angry"}
    assert set(faces["reviewer"]) == {"kim"}
    assert applied.rejected.to_numpy().tolist() == [[B, "rejected_by_person", "no reason given, by kim"]]
    assert applied.stale.empty and applied.unknown.empty and applied.disputed.empty


def test_other_pixels_and_other_ids_are_reported_by_line_and_not_applied():
    applied = apply_decisions(FACES, said("A 9 reject . kim", "Z 1 reject . kim"))
    assert applied.faces["image_id"].tolist() == [A, B, C] and applied.rejected.empty
    assert applied.stale[["image_id", "line"]].to_numpy().tolist() == [[A, 2]]
    assert applied.unknown[["image_id", "line"]].to_numpy().tolist() == [[Z, 3]]
    assert set(applied.faces["reviewer"]) == {""}


def test_the_last_word_of_a_reviewer_counts():
    applied = apply_decisions(FACES, said("A 1 reject . kim", "A 1 relabel sad kim"))
    assert applied.faces["label"].tolist() == ["sad", "sad", "fear"] and applied.rejected.empty


def test_a_withdrawal_brings_the_word_before_back():
    rows = ["A 1 relabel sad kim", "A 1 reject . kim", "A 1 withdraw . kim"]
    assert apply_decisions(FACES, said(*rows)).faces["label"].tolist() == ["sad", "sad", "fear"]
    nothing = apply_decisions(FACES, said(*rows, "A 1 withdraw . kim"))
    assert nothing.faces.drop(columns="reviewer").equals(FACES)


def test_reviewers_who_differ_are_reported_until_one_more_word_settles_it():
    rows = ["A 1 reject . kim", "A 1 keep . lee"]
    disputed = apply_decisions(FACES, said(*rows))
    assert disputed.disputed["reviewer"].tolist() == ["kim", "lee"]
    assert disputed.rejected.empty and set(disputed.faces["reviewer"]) == {""}
    settled = apply_decisions(FACES, said(*rows, "A 1 reject . kim"))
    assert settled.disputed.empty and settled.rejected["image_id"].tolist() == [A]


def test_reviewers_who_agree_are_no_dispute():
    applied = apply_decisions(FACES, said("A 1 relabel sad kim", "A 1 relabel sadness lee"))
    assert applied.disputed.empty and applied.faces["label"].iloc[0] == "sad"


WORDS = st.lists(st.tuples(st.sampled_from("keep reject".split()), st.sampled_from("kim lee".split())))


@given(WORDS, st.sampled_from("kim lee".split()))
def test_to_say_and_to_take_back_is_to_have_said_nothing(words, who):
    rows = [{"verdict": verdict, "label": "", "reviewer": reviewer} for verdict, reviewer in words]
    undone = [{"verdict": verdict, "label": "", "reviewer": who} for verdict in ("reject", "withdraw")]
    assert standing([*rows, *undone]) == standing(rows)


@given(WORDS)
def test_one_reviewer_alone_is_never_in_dispute(words):
    rows = [{"verdict": verdict, "label": "", "reviewer": "kim"} for verdict, _ in words]
    assert not is_disputed(standing(rows))


def test_no_decision_changes_nothing():
    applied = apply_decisions(FACES, said())
    assert applied.faces.drop(columns="reviewer").equals(FACES) and applied.rejected.empty


GOOD = f"{A},1,keep,,kim,1,"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            f"{B},2,delete,,kim,1,",
            "line 3: unknown verdict 'delete'; choose one of keep, reject, relabel, withdraw",
        ),
        (f"{B},2,relabel,bored,kim,1,", "line 3: unknown label 'bored'; choose one of angry"),
        (f"{B},2,relabel,,kim,1,", "line 3: unknown label ''"),
        (f"{B},2,keep,,,1,", "line 3: reviewer is empty"),
        ("B-7,2,keep,,kim,1,", "line 3: 'B-7' is not a face id"),
        (f"{B},2,kee", "line 3: 3 fields, not 7; fix or delete the line"),
        (f'{B},2,keep,,kim,1,"the quote goes', "line 3: unexpected end of data; fix or delete the line"),
        (GOOD, "line 3: the same as line 2; delete one of them"),
        (f"{A},1,withdraw,,lee,1,", "line 3: lee has no decision on aaaa"),
    ],
)
def test_a_row_that_cannot_be_understood_is_named_by_its_line(line, message):
    with pytest.raises(BadDecisions, match=message):
        parse_decisions(f"{HEADER}\n{GOOD}\n{line}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: columns missing: image_id"),
        ("image_id,verdict,label,time,note\n", "line 1: columns missing: pixels, reviewer"),
        (HEADER.replace("label,reviewer", "reviewer,label"), "line 1: columns image_id, pixels, verdict"),
    ],
)
def test_a_table_without_its_columns_is_told_which(text, message):
    with pytest.raises(BadDecisions, match=message):
        parse_decisions(text)
