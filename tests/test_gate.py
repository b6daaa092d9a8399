"""The gate's arithmetic and its outcomes, by values computed by hand."""

import numpy as np
import pandas as pd
import pytest

from fer_tasks.evaluation.gate import (
    Comparison,
    changes_of_test,
    compare_models,
    decide,
    decide_first,
    smallest_gain,
    unseen_by,
)

TWIN = Comparison(1000, 0.8, 0.8, 0.0, -0.003, 0.003, 1.0, 0.006)
BETTER = Comparison(1000, 0.84, 0.8, 0.04, 0.02, 0.06, 0.001, 0.02)
WORSE = Comparison(1000, 0.76, 0.8, -0.04, -0.06, -0.02, 0.001, 0.02)
BY_CHANCE = Comparison(20, 0.8, 0.6, 0.2, 0.005, 0.38, 0.125, 0.3)
TOO_FEW = Comparison(5, 1.0, 0.2, 0.8, 0.1, 0.96, 0.125, None)


def right(both: int, only_new: int, only_rival: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    """(n,) bool of the challenger and of the rival, with so many faces of each kind."""
    counts = (both, only_new, only_rival, neither)
    return np.repeat([True, True, False, False], counts), np.repeat([True, False, True, False], counts)


def test_models_are_compared_on_the_same_faces():
    comparison = compare_models(*right(60, 12, 3, 25))
    assert comparison[:4] == pytest.approx((100, 0.72, 0.63, 0.09))
    assert 0 < comparison.low < 0.09 < comparison.high < 0.2
    # Of 15 faces that differ at most 3 for one side: 2 * (1 + 15 + 105 + 455) / 2**15.
    assert comparison.p == pytest.approx(2 * 576 / 2**15) and comparison.is_better
    other = compare_models(*right(60, 3, 12, 25))
    assert other.is_worse and not other.is_better and other.gain == pytest.approx(-0.09)


def test_a_few_faces_that_differ_are_not_enough():
    """The interval alone takes four of four for a gain; a coin would do that once in eight."""
    comparison = compare_models(*right(5, 4, 0, 6))
    assert comparison.low > 0 and comparison.p == 0.125 and not comparison.is_better
    assert compare_models(*right(5, 6, 0, 4)).is_better


def test_the_smallest_gain_that_counts():
    assert smallest_gain(100, 60, 0) == 0.06, "six of six: 2 / 2**6 is the first below 0.05"
    assert smallest_gain(100, 60, 15) > smallest_gain(100, 60, 0), "more luck, where more differ"
    assert (
        smallest_gain(20, 14, 0) == 0.3
        and smallest_gain(20, 15, 0) is None
        and smallest_gain(5, 0, 0) is None
    )
    counted = compare_models(*right(57, 6, 0, 37))
    assert counted.smallest_gain == 0.06 and counted.is_better
    assert compare_models(*right(57, 5, 0, 38)).is_better is False
    nothing = compare_models(np.zeros(0, bool), np.zeros(0, bool))
    assert nothing.faces == 0 and nothing.smallest_gain is None and not nothing.is_better


def test_what_a_model_has_learnt_is_left_out_by_id_group_photo_and_pixels():
    columns = ["image_id", "pixels", "photo_phash", "group_id", "split"]
    learnt = pd.DataFrame(
        [
            ("a-0", "pa", "ha", "a-0", "train"),
            ("b-0", "pb", "hb", "b-0", "val"),
            ("c-0", "pc", "hc", "c-0", "train"),
            ("d-0", "pd", "", "d-0", "train"),
            ("e-0", "pe", "he", "e-0", "test"),
        ],
        columns=columns,
    )
    today = pd.DataFrame(
        [
            ("a-0", "pa", "ha", "a-0", "test"),  # itself
            ("x-0", "px", "hb", "x-0", "test"),  # another face of the same photo
            ("y-0", "pc", "hy", "y-0", "test"),  # the same pixels
            (
                "0-0",
                "p0",
                "h0",
                "0-0",
                "test",
            ),  # of a group that a learnt face is in, which is called otherwise
            ("d-0", "pd", "", "0-0", "train"),
            ("z-0", "pz", "hz", "c-0", "test"),  # of a group that a learnt face once named
            ("e-0", "pe", "he", "e-0", "test"),  # it was a test face then
            ("n-0", "pn", "", "n-0", "test"),  # new, and nobody knows its photo's hash
        ],
        columns=columns,
    )
    assert today["image_id"][unseen_by(learnt, today)].tolist() == ["e-0", "n-0"]
    assert changes_of_test(learnt.assign(label="sad"), today.assign(label="fear")) == (
        "6 came, 0 went, 1 have another label"
    )


@pytest.mark.parametrize(
    ("comparison", "promoted", "outcome"),
    [
        (BETTER, True, "first"),
        (WORSE, False, "no_better_than_guessing"),
        (BY_CHANCE, False, "no_better_than_guessing"),
        (TOO_FEW, False, "too_few_faces"),
    ],
)
def test_the_first_model(comparison, promoted, outcome):
    assert decide_first(comparison)[:2] == (promoted, outcome)


@pytest.mark.parametrize(
    ("comparison", "promoted", "outcome"),
    [
        (BETTER, True, "better"),
        (WORSE, False, "worse"),
        (TWIN, False, "not_better"),
        (BY_CHANCE, False, "not_better"),
        (TOO_FEW, False, "too_few_faces"),
    ],
)
def test_a_champion_stays_unless_it_is_beaten_with_confidence(comparison, promoted, outcome):
    decision = decide("v1.0.0", comparison)
    assert decision[:2] == (promoted, outcome) and "v1.0.0" in decision.reason


@pytest.mark.parametrize(
    ("equal", "saving", "max_loss", "outcome"),
    [
        ("smaller", 0.5, 0.01, "equal_but_smaller"),
        ("quicker", 0.2, 0.01, "equal_but_quicker"),
        ("quicker", 0.19, 0.01, "not_better"),
        ("smaller", 0.5, 0.002, "not_better"),  # it could be worse by 0.003
        ("keep", 0.5, 0.01, "not_better"),
    ],
)
def test_as_good_and_smaller_or_quicker_is_a_setting(equal, saving, max_loss, outcome):
    decision = decide("v1.0.0", TWIN, (), equal, max_loss, 0.2, saving)
    assert decision[:2] == (outcome.startswith("equal"), outcome)
    assert not decide("v1.0.0", WORSE, (), equal, max_loss, 0.2, saving).promoted


def test_who_would_take_over_must_beat_what_was_taken_back():
    """Else a model that is hardly another one would undo what people did."""
    decision = decide("v1.0.0", BETTER, [("v1.1.0", TWIN)])
    assert decision[:2] == (False, "taken_back") and "v1.1.0, which was taken back" in decision.reason
    assert decide("v1.0.0", BETTER, [("v1.1.0", BETTER)]).promoted
    assert decide("v1.0.0", TWIN, [("v1.1.0", BETTER)]).outcome == "not_better"


def test_a_reason_tells_all_figures():
    reason = decide("v1.0.0", BETTER).reason
    assert reason == (
        "better than v1.0.0: 84.0 % against 80.0 % of 1000 faces, +4.0 points (+2.0 to +6.0, p 0.001); "
        "the smallest gain that passes here: 2.0 points"
    )
