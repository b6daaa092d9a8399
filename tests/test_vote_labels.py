"""Votes of taggers as soft labels: what they weigh, and who is left out."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_tasks.labels import EXPRESSIONS, VOTES
from fer_tasks.training.vote_labels import MOSTLY_OTHER, NO_VOTES, vote_labels

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
