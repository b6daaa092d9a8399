"""May a new model take over? Compare it with the released one on faces that neither has learnt, and decide.

A difference counts if its 95 % interval lies on one side of 0 and the exact test of McNemar agrees: where few
faces differ the interval alone is too narrow.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from fer_tasks.evaluation.significance import LEVEL, gain_interval, mcnemar

LEARNT = ("train", "val")  # the splits that a model has learnt from: val chose its epoch
IDENTIFYING = ("image_id", "pixels", "photo_phash", "group_id")
Equal = Literal["keep", "smaller", "quicker"]


class Comparison(NamedTuple):
    """A new model, the challenger, beside another on the same faces; shares of faces, 0..1."""

    faces: int
    accuracy: float
    rival_accuracy: float
    gain: float  # accuracy less rival_accuracy
    low: float  # of the gain's 95 % interval
    high: float
    p: float  # of McNemar's exact test
    smallest_gain: float | None  # that would have passed; None if none could have

    @property
    def is_better(self) -> bool:
        return self.low > 0 and self.p < LEVEL

    @property
    def is_worse(self) -> bool:
        return self.high < 0 and self.p < LEVEL


class Decision(NamedTuple):
    """Whether a challenger takes over."""

    promoted: bool
    outcome: str  # a word, for tables
    reason: str  # a sentence


def unseen_by(learnt: pd.DataFrame, today: pd.DataFrame) -> np.ndarray:
    """(n,) bool: which faces of today's manifest a model has not learnt, nor a copy of them.

    `learnt`: the manifest that the model was trained on. Both have split and what there is of IDENTIFYING. A
    face counts as learnt if one of these is that of a face in LEARNT, or if that holds for any face of its
    group today: a group changes its name when a picture of a smaller id joins it.
    """
    of_training = learnt[learnt["split"].isin(LEARNT)]
    seen = np.zeros(len(today), bool)
    for column in (name for name in IDENTIFYING if name in learnt and name in today):
        known = set(of_training[column]) - {""}
        seen |= today[column].isin(known).to_numpy()
    return ~today["group_id"].isin(set(today["group_id"][seen])).to_numpy()


def compare_models(right: np.ndarray, rival_right: np.ndarray) -> Comparison:
    """Compare a challenger with a rival. `right`, `rival_right`: (n,) bool, which faces each names right."""
    n = len(right)
    if not n:
        return Comparison(0, 0.0, 0.0, 0.0, -1.0, 1.0, 1.0, None)
    low, high = gain_interval(right, rival_right)
    accuracy, rival_accuracy = float(right.mean()), float(rival_right.mean())
    differing = int((right != rival_right).sum())
    smallest = smallest_gain(n, int(rival_right.sum()), differing)
    p = mcnemar(right, rival_right)
    return Comparison(n, accuracy, rival_accuracy, accuracy - rival_accuracy, low, high, p, smallest)


def smallest_gain(n: int, rival_right: int, differing: int) -> float | None:
    """The power of the comparison: the smallest gain that would have counted, a share of the `n` faces.

    `rival_right`: how many faces the rival names right. `differing`: how many only one of the two names
    right; where a gain takes more of them, as many as it takes. None if not even a challenger without a
    mistake could be told from the rival.
    """
    for gain in range(1, n - rival_right + 1):
        only_new = min((max(differing, gain) + gain) // 2, n - rival_right)
        only_rival = min(only_new - gain, rival_right)
        if only_new - only_rival == gain and _passes(n, rival_right, only_new, only_rival):
            return gain / n
    return None


def _passes(n: int, rival_right: int, only_new: int, only_rival: int) -> bool:
    places = np.arange(n)
    rival = places < rival_right
    new = (places >= only_rival) & (places < rival_right + only_new)
    return gain_interval(new, rival)[0] > 0 and mcnemar(new, rival) < LEVEL


def decide_first(against_guess: Comparison) -> Decision:
    """The decision where there is no champion. `against_guess`: beside one that always names the expression
    that is the most frequent of the test faces."""
    guess = f"always naming the most frequent expression ({_percent(against_guess.rival_accuracy)})"
    if against_guess.smallest_gain is None:
        return Decision(False, "too_few_faces", _too_few(against_guess, guess))
    if against_guess.is_better:
        return Decision(True, "first", f"the first model, and better than {guess}: {told(against_guess)}")
    return Decision(
        False, "no_better_than_guessing", f"not better than {guess} with confidence: {told(against_guess)}"
    )


def decide(
    champion: str,
    against_champion: Comparison,
    taken_back: Sequence[tuple[str, Comparison]] = (),
    equal: Equal = "keep",
    max_loss: float = 0.0,
    min_saving: float = 1.0,
    saving: float = 0.0,
) -> Decision:
    """The decision where there is a champion, whose version is given.

    `taken_back`: versions that people have taken back, which the challenger must beat, too: it may be hardly
    another model. `equal`: what may stand in for a gain where the challenger is worse by less than `max_loss`
    with confidence; then it must save `min_saving` of size or time. `saving`: the share that it saves.
    """
    for version, comparison in taken_back:
        if not comparison.is_better:
            reason = f"not better than {version}, which was taken back: {told(comparison)}"
            return Decision(False, "taken_back", reason)
    told_all = told(against_champion)
    if against_champion.is_better:
        return Decision(True, "better", f"better than {champion}: {told_all}")
    if against_champion.is_worse:
        return Decision(False, "worse", f"worse than {champion}: {told_all}")
    as_good = f"as good as {champion} (worse by less than {_points(max_loss)} points) and"
    if equal != "keep" and against_champion.low > -max_loss and saving >= min_saving:
        reason = f"{as_good} {_percent(saving)} {equal}: {told_all}"
        return Decision(True, f"equal_but_{equal}", reason)
    if against_champion.smallest_gain is None:
        return Decision(False, "too_few_faces", _too_few(against_champion, champion))
    return Decision(False, "not_better", f"not better than {champion} with confidence: {told_all}")


def told(comparison: Comparison) -> str:
    """The figures of a comparison."""
    accuracies = f"{_percent(comparison.accuracy)} against {_percent(comparison.rival_accuracy)}"
    limits = f"{_points(comparison.low, '+')} to {_points(comparison.high, '+')}"
    p = f"{comparison.p:.3f}" if comparison.p >= 0.001 else "< 0.001"
    power = "no gain" if comparison.smallest_gain is None else f"{_points(comparison.smallest_gain)} points"
    return (
        f"{accuracies} of {comparison.faces} faces, {_points(comparison.gain, '+')} points ({limits}, "
        f"p {p}); "
        f"the smallest gain that passes here: {power}"
    )


def _too_few(comparison: Comparison, rival: str) -> str:
    return (
        f"{comparison.faces} test faces are too few: not even a model without a mistake could be told from "
        f"{rival}"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _points(share: float, sign: str = "") -> str:
    return f"{100 * share:{sign}.1f}"


def changes_of_test(then: pd.DataFrame, now: pd.DataFrame) -> str:
    """What became of the test split between two manifests: faces that came, went or have another label."""
    old, new = (one[one["split"] == "test"].set_index("image_id")["label"] for one in (then, now))
    both = old.index.intersection(new.index)
    relabelled = int((old[both] != new[both]).sum())
    return f"{len(new) - len(both)} came, {len(old) - len(both)} went, {relabelled} have another label"
