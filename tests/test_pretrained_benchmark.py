"""What `benchmarks.pretrained` counts as right, and what its small sets learn from."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.lib.crops import CROPS, spread
from benchmarks.lib.fer2013_test import NONE, majority
from fer_tasks.labels import EXPRESSIONS

ANGRY, HAPPY, SAD = (EXPRESSIONS.index(name) for name in ("angry", "happy", "sad"))


@pytest.mark.parametrize(
    "votes, own, expected",
    [
        ({"happiness": 6, "sadness": 4}, SAD, HAPPY),
        ({"happiness": 4, "sadness": 4, "contempt": 2}, SAD, SAD),  # of equals the picture's own label
        ({"anger": 4, "happiness": 4, "contempt": 2}, SAD, ANGRY),
        ({"happiness": 4, "contempt": 3, "unknown": 3}, HAPPY, HAPPY),  # no other tag has as many
        ({"happiness": 5, "nf": 5}, HAPPY, NONE),
        ({"unknown": 10}, HAPPY, NONE),
    ],
)
def test_what_most_taggers_see(votes, own, expected):
    tags = "neutral happiness surprise sadness anger disgust fear contempt unknown nf".split()
    counts = pd.DataFrame([{tag: votes.get(tag, 0) for tag in tags}, dict.fromkeys(tags, np.nan)])
    assert majority(counts, np.array([own, own])).tolist() == [expected, NONE]


def test_the_spread_is_that_from_0_7_to_1_1():
    accuracies = dict.fromkeys(CROPS, 0.6) | {0.6: 0.1, 0.7: 0.59, 1.1: 0.605, 1.2: 0.9}
    assert spread([*accuracies.values()]) == pytest.approx(1.5)


@pytest.mark.slow
def test_small_sets_learn_from_no_copy_of_what_they_are_tested_on():
    from benchmarks.lib.small_sets import folds  # here: it imports TensorFlow

    labels = np.random.default_rng(0).integers(0, 7, 300)
    groups = np.arange(300) // 2
    tested = []
    for train, val, test in folds(labels, groups, 120):
        rows = np.concatenate([train, val])
        assert len(rows) == len(set(rows)) == 120 and len(val) >= 12
        of = [set(groups[part]) for part in (train, val, test)]
        assert not (of[0] & of[1] or of[0] & of[2] or of[1] & of[2])
        tested += test.tolist()
    assert sorted(tested) == list(range(300))
