"""Votes of taggers as soft labels: what they weigh, and who is left out."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_tasks.errors import UserError
from fer_tasks.labels import EXPRESSIONS, VOTES
from fer_tasks.storage.dataset import read_dataset, write_dataset
from fer_tasks.training.vote_labels import MOSTLY_OTHER, NO_VOTES, vote_labels
from tests.test_train import project, run  # noqa: F401

TALLIES = st.lists(st.integers(0, 7), min_size=10, max_size=10).map(
    lambda tags: np.bincount(tags, minlength=8).tolist()
)


def faces(*tallies: list[int] | None, label: str = "happy") -> pd.DataFrame:
    """A face for each tally of the seven expressions and of other; None: nobody voted."""
    shares = [np.full(8, np.nan) if one is None else np.array(one) / sum(one) for one in tallies]
    return pd.DataFrame(shares, columns=VOTES).assign(label=label)


def test_the_own_label_is_one_vote_beside_those_of_ten():
    soft, reasons = vote_labels(faces([0, 0, 0, 8, 2, 0, 0, 0], label="sad"))
    assert reasons.tolist() == [""]
    assert soft[0] == pytest.approx(np.array([0, 0, 0, 8, 2, 1, 0]) / 11)


def test_who_saw_something_else_or_nothing_is_left_out_with_a_reason():
    table = faces([0, 0, 0, 4, 0, 0, 0, 6], None, [0, 0, 0, 4, 2, 0, 0, 4], [0, 0, 0, 0, 0, 0, 0, 10])
    assert vote_labels(table)[1].tolist() == [MOSTLY_OTHER, NO_VOTES, "", MOSTLY_OTHER]


@given(st.lists(st.one_of(TALLIES, st.none()), min_size=1, max_size=20), st.sampled_from(EXPRESSIONS))
def test_soft_labels_are_shares_and_the_most_votes_win(tallies, label):
    soft, reasons = vote_labels(faces(*tallies, label=label))
    assert soft.dtype == np.float32 and soft.min() >= 0
    assert soft.sum(axis=1) == pytest.approx(1, abs=1e-6)
    for shares, reason, tally in zip(soft, reasons, tallies, strict=True):
        assert (reason == NO_VOTES) == (tally is None)
        if tally and not reason:
            assert tally[:-1][shares.argmax()] >= max(tally[:-1]) - 1, "the own label is one vote"
            assert tally[-1] <= max(tally[:-1])


def add_votes(root) -> pd.DataFrame:
    """Votes that all say happy, but for faces 0 and 50, which are no faces, and 1, without votes."""
    data = read_dataset(root / "data/features/gray16")
    votes = pd.DataFrame(np.eye(8)[[3] * len(data.manifest)], columns=VOTES)
    votes.iloc[[0, 50]], votes.iloc[1] = np.eye(8)[7], np.nan
    manifest = pd.concat([data.manifest, votes], axis=1)
    write_dataset(
        data.root, manifest, manifest.iloc[:0].assign(reason="", detail=""), {}, data.info["settings"]
    )
    return manifest


@pytest.mark.slow
def test_a_cell_learns_from_votes_beside_one_that_learns_from_labels(prefect, project):  # noqa: F811
    manifest = add_votes(project)
    run(project, {"id": "own", "epochs": 1}, {"id": "voted", "labels": "votes", "epochs": 2})
    own, voted = (json.loads((project / "models" / i / "cell.json").read_text()) for i in ("own", "voted"))
    assert own["prior"] == pytest.approx([1 / 7] * 7, abs=1e-5) and (own["left_out"], own["note"]) == ({}, "")
    learnt = vote_labels(manifest)[0][2:42]
    assert voted["prior"] == pytest.approx(learnt.mean(axis=0), abs=1e-5) and voted["prior"][3] > 0.9
    assert voted["left_out"] == {"mostly_other": 2, "no_votes": 1}
    assert voted["note"] == ("learnt from votes, and validated on them; left out: 2 mostly_other, 1 no_votes")
    assert voted["val_accuracy"] == 1, "all of them say happy"


@pytest.mark.slow
def test_votes_that_a_source_lacks_are_refused_before_training(prefect, project):  # noqa: F811
    with pytest.raises(UserError, match="cell a: labels: votes: the source has no votes; put FER.'s table"):
        run(project, {"id": "a", "labels": "votes"})
