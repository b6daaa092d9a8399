"""What people said: applied to the very pixels they saw, or reported."""

import pandas as pd
import pytest

from fer_tasks.cleaning.decisions import COLUMNS, BadDecisions, apply_decisions, check_decisions

FACES = pd.DataFrame({"image_id": list("abc"), "pixels": ["1", "2", "3"], "label": ["happy", "sad", "fear"]})


def said(*rows: tuple[str, str, str, str]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["image_id", "pixels", "verdict", "label"])
    return table.assign(reviewer="kim", time="2026-11-24", note="")[COLUMNS]


def test_keep_reject_and_relabel():
    applied = apply_decisions(
        FACES, said(("a", "1", "keep", ""), ("b", "2", "reject", ""), ("c", "3", "relabel", "Anger"))
    )
    faces = applied.faces.set_index("image_id")
    assert faces["label"].to_dict() == {"a": "happy", "c": "angry"}
    assert set(faces["reviewer"]) == {"kim"}
    assert applied.rejected.to_numpy().tolist() == [["b", "rejected_by_person", "by kim"]]
    assert applied.stale == applied.unknown == []


def test_other_pixels_and_other_ids_are_reported_and_not_applied():
    applied = apply_decisions(FACES, said(("a", "9", "reject", ""), ("z", "1", "reject", "")))
    assert applied.faces["image_id"].tolist() == list("abc") and applied.rejected.empty
    assert (applied.stale, applied.unknown) == (["a"], ["z"])
    assert set(applied.faces["reviewer"]) == {""}


def test_the_last_word_counts():
    applied = apply_decisions(FACES, said(("a", "1", "reject", ""), ("a", "1", "relabel", "sad")))
    assert applied.faces["label"].tolist() == ["sad", "sad", "fear"] and applied.rejected.empty


def test_no_decision_changes_nothing():
    applied = apply_decisions(FACES, said())
    assert applied.faces.drop(columns="reviewer").equals(FACES) and applied.rejected.empty


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("a", "1", "delete", ""), "line 3: verdict 'delete'; it is one of keep, reject, relabel"),
        (("a", "1", "relabel", "bored"), "line 3: label 'bored'; it is one of angry"),
        (("a", "1", "relabel", ""), "line 3: label ''"),
    ],
)
def test_a_row_that_cannot_be_understood_is_named_by_its_line(row, message):
    with pytest.raises(BadDecisions, match=message):
        check_decisions(said(("b", "2", "keep", ""), row))


def test_missing_columns_are_named():
    with pytest.raises(BadDecisions, match="columns missing: pixels, reviewer"):
        check_decisions(said().drop(columns=["pixels", "reviewer"]))
