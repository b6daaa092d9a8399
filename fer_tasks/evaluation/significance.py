"""Do two models differ? Paired tests on the same pictures."""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from fer_tasks.evaluation.wilson import Z, wilson_interval

LEVEL = 0.05


def against(right: Mapping[str, np.ndarray], rival: str) -> pd.DataFrame:
    """Compare each model with one of them, the rival, on the same pictures.

    `right`: for each model (n,) bool, n > 0, which pictures it predicted right. Returns a row for each other
    model: cell, gain (its accuracy less the rival's) with its 95 % interval gain_low, gain_high, p (of
    `mcnemar`, adjusted by `holm` for the number of comparisons) and differs (p below LEVEL).

    Raises:
        ValueError: the models have different pictures, or none.
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
    """The exact two-sided p-value of McNemar's test (1947): among pictures that only one of two models gets
    right, is either model ahead? `one`, `other`: (n,) bool, right or not."""
    only_one, only_other = int((one & ~other).sum()), int((other & ~one).sum())
    if not only_one + only_other:
        return 1.0
    from scipy.stats import binomtest  # here: it takes a second to import, and other stages need none

    return float(binomtest(only_one, only_one + only_other).pvalue)


def holm(p: np.ndarray) -> np.ndarray:
    """p-values (n,) of n tests, adjusted so that the chance of any false alarm among them is that of one
    test (Holm 1979)."""
    order = np.argsort(p)
    raised = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(raised, 1.0)
    return adjusted


def gain_interval(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of the difference of two accuracies on the same pictures (Newcombe 1998, Statistics
    in Medicine 17(22), method 10); `one`, `other`: (n,) bool, n > 0.

    It has a width even if both are right on the same pictures: on others they may differ.
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


def difference_interval(one: tuple[int, int], other: tuple[int, int], z: float = Z) -> tuple[float, float]:
    """The interval of a difference of two shares of different pictures, `one` less the `other`, of 95 % by
    default (Newcombe 1998, Statistics in Medicine 17(8), method 10). Each is (k, n), n > 0."""
    (down, up), (other_down, other_up) = _wilson_sides(*one, z), _wilson_sides(*other, z)
    gap = one[0] / one[1] - other[0] / other[1]
    return gap - math.hypot(down, other_up), gap + math.hypot(up, other_down)


def _wilson_sides(k: int, n: int, z: float = Z) -> tuple[float, float]:
    """The distances of Wilson's interval for k of n below and above k / n."""
    low, high = wilson_interval(k, n, z)
    return k / n - low, high - k / n
