"""Do two models differ? Paired tests on the same pictures."""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.stats import binomtest

LEVEL = 0.05


def against(right: Mapping[str, np.ndarray], rival: str) -> pd.DataFrame:
    """Each model against one of them, the rival, on the same pictures.

    `right`: of each model (n,) bool, n > 0, which pictures it named right. Returns a row a model but the
    rival: cell, gain (its accuracy less the rival's) with its 95 % interval gain_low and gain_high, p (of
    `mcnemar`, by `holm` for as many models as there are) and differs (p below LEVEL).
    """
    shapes = {model.shape for model in right.values()}
    if len(shapes) != 1 or not len(right[rival]):
        raise ValueError(f"the same n > 0 pictures for every model, not {sorted(shapes)}")
    rows = []
    for cell, of_cell in right.items():
        if cell != rival:
            low, high = gain_interval(of_cell, right[rival])
            gain = float(of_cell.mean() - right[rival].mean())
            rows.append((cell, gain, low, high, mcnemar(of_cell, right[rival])))
    table = pd.DataFrame(rows, columns=["cell", "gain", "gain_low", "gain_high", "p"])
    p = holm(table["p"].to_numpy(float))
    return table.assign(p=p, differs=p < LEVEL)


def mcnemar(one: np.ndarray, other: np.ndarray) -> float:
    """The exact two-sided p-value of McNemar's test (1947): of the pictures that only one of two models names
    right, are as many the one's as the other's? `one`, `other`: (n,) bool, right or not."""
    only_one, only_other = int((one & ~other).sum()), int((other & ~one).sum())
    if not only_one + only_other:
        return 1.0
    return float(binomtest(only_one, only_one + only_other).pvalue)


def holm(p: np.ndarray) -> np.ndarray:
    """p-values (n,) of n tests, raised so that the chance of any false alarm among them stays what one test's
    would be (Holm 1979)."""
    order = np.argsort(p)
    raised = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(raised, 1.0)
    return adjusted


def gain_interval(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of the difference of two accuracies on the same pictures (Newcombe 1998, Statistics
    in Medicine 17(22), method 10); `one`, `other`: (n,) bool, n > 0.

    It has a width even where both are right on the same pictures: on others they may not be.
    """
    n = len(one)
    both, only_one, only_other, neither = (
        int(pictures.sum()) for pictures in (one & other, one & ~other, other & ~one, ~(one | other))
    )
    down, up = _wilson_sides(both + only_one, n)
    other_down, other_up = _wilson_sides(both + only_other, n)
    spread = math.sqrt(
        (both + only_one) * (only_other + neither) * (both + only_other) * (only_one + neither)
    )
    together = both * neither - only_one * only_other
    together = max(together - n / 2, 0) if together > 0 else together  # for continuity
    phi = together / spread if spread else 0.0
    gain = (only_one - only_other) / n
    low = gain - math.sqrt(max(down**2 - 2 * phi * down * other_up + other_up**2, 0))
    high = gain + math.sqrt(max(up**2 - 2 * phi * up * other_down + other_down**2, 0))
    return low, high


def _wilson_sides(k: int, n: int) -> tuple[float, float]:
    """How far Wilson's interval of k of n reaches below and above their share."""
    low, high = binomtest(k, n).proportion_ci(method="wilson")
    return k / n - low, high - k / n
