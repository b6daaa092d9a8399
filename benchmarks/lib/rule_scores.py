"""How well a number tells faulty faces from others: at a threshold that is given, and at one chosen on other
faces."""

from typing import Any, NamedTuple

import numpy as np

from fer_tasks.cleaning.rules import RULES
from fer_tasks.settings import load_settings

REJECTS, ASKS = 0.01, 0.05  # of the faces as they are, that a rule of either kind may doubt


class Judge(NamedTuple):
    """Who doubts a face where its number passes a threshold."""

    name: str
    given: float  # the threshold
    high: bool  # it is passed upwards
    allowed: float  # share of the faces as they are that may be doubted


def our(name: str, measure: str | None = None) -> tuple[Judge, str]:
    """The rule of this name with the threshold of params.yaml, and what it looks at; `measure` says which
    where it may be several."""
    wanted = load_settings().clean
    rule = next(rule for rule in RULES if rule.name == name and measure in (None, rule.measure))
    allowed = REJECTS if name in wanted.reject else ASKS
    given = getattr(wanted.rules, rule.threshold)
    return Judge(name, given, rule.threshold.startswith("max_"), allowed), rule.measure


def score(judge: Judge, sound: np.ndarray, first: np.ndarray, faulty: np.ndarray) -> dict[str, Any]:
    """Recall, false positives and precision, for as many faulty faces as others, at both thresholds.

    `sound`: (n,) numbers of the faces as they are. `first`: (n,) bool, those that a threshold is chosen on.
    `faulty`: numbers of faces of the others with the fault. NaN passes no threshold; nothing is chosen where
    no threshold doubts as many as are allowed.
    """
    found = {"by": judge.name, **_at(judge.given, judge.high, sound[~first], faulty, "")}
    chosen = _choose(judge, sound[first])
    return found | (_at(chosen, judge.high, sound[~first], faulty, "chosen_") if np.isfinite(chosen) else {})


def _choose(judge: Judge, sound: np.ndarray) -> float:
    """The mildest threshold that doubts no more of the faces as they are than allowed; infinite where all
    that have a number are fewer."""
    mild = -np.inf if judge.high else np.inf
    share = 1 - judge.allowed if judge.high else judge.allowed
    known = np.where(np.isnan(sound), mild, sound)
    return float(np.quantile(known, share, method="higher" if judge.high else "lower"))


def _at(threshold: float, high: bool, sound: np.ndarray, faulty: np.ndarray, prefix: str) -> dict[str, float]:
    recall, false = (
        float((values > threshold).mean() if high else (values < threshold).mean())
        for values in (faulty, sound)
    )
    found = {
        "threshold": threshold,
        "recall": recall,
        "false": false,
        "precision": recall / max(recall + false, 1e-9),
    }
    return {prefix + name: round(value, 4) for name, value in found.items()}
