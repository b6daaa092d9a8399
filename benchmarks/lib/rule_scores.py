"""How well a measure separates faulty faces from others: at a given threshold, and at one chosen on other
faces."""

from typing import Any, NamedTuple

import numpy as np

from fer_tasks.cleaning.rules import RULES
from fer_tasks.settings import load_settings

REJECTS, ASKS = 0.01, 0.05  # share of the unchanged faces that a rule which rejects, or asks, may doubt


class Judge(NamedTuple):
    """A rule that doubts a face if its measure is beyond a threshold."""

    name: str
    given: float  # the threshold
    high: bool  # whether a face is doubted above the threshold, else below
    allowed: float  # share of the unchanged faces that may be doubted


def our(name: str, measure: str | None = None) -> tuple[Judge, str]:
    """Our rule of this name, with the threshold of params.yaml, and the name of its measure.

    `measure` selects one if rules of one name have several.
    """
    settings = load_settings().clean
    rule = next(rule for rule in RULES if rule.name == name and measure in (None, rule.measure))
    allowed = REJECTS if name in settings.reject else ASKS
    given = getattr(settings.rules, rule.threshold)
    return Judge(name, given, rule.threshold.startswith("max_"), allowed), rule.measure


def score(judge: Judge, unchanged: np.ndarray, first: np.ndarray, faulty: np.ndarray) -> dict[str, Any]:
    """Recall, false positives and precision at the given and at the chosen threshold.

    `unchanged`: (n,), the measure of faces without a planted fault. `first`: (n,) bool, those to choose a
    threshold on. `faulty`: (m,), the measure of the other faces with the fault. Precision assumes as many
    faulty faces as others. NaN is beyond no threshold. Nothing is chosen if no threshold doubts as many faces
    as allowed.
    """
    figures = {"by": judge.name, **_at(judge.given, judge.high, unchanged[~first], faulty, "")}
    chosen = _choose(judge, unchanged[first])
    if not np.isfinite(chosen):
        return figures
    return figures | _at(chosen, judge.high, unchanged[~first], faulty, "chosen_")


def _choose(judge: Judge, unchanged: np.ndarray) -> float:
    """The strictest threshold that doubts no more of the unchanged faces than allowed; infinite if fewer have
    a measure at all."""
    never_doubted = -np.inf if judge.high else np.inf
    share = 1 - judge.allowed if judge.high else judge.allowed
    values = np.where(np.isnan(unchanged), never_doubted, unchanged)
    return float(np.quantile(values, share, method="higher" if judge.high else "lower"))


def _at(
    threshold: float, high: bool, unchanged: np.ndarray, faulty: np.ndarray, prefix: str
) -> dict[str, float]:
    recall, false = (
        float((values > threshold).mean() if high else (values < threshold).mean())
        for values in (faulty, unchanged)
    )
    figures = {
        "threshold": threshold,
        "recall": recall,
        "false": false,
        "precision": recall / max(recall + false, 1e-9),
    }
    return {prefix + name: round(value, 4) for name, value in figures.items()}
