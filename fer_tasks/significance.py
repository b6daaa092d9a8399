"""Do two models differ? Paired tests on the same pictures."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.stats import binomtest

LEVEL = 0.05


def against(right: Mapping[str, np.ndarray], rival: str, resamples: int, seed: int) -> pd.DataFrame:
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
            low, high = gain_interval(of_cell, right[rival], resamples, seed)
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


def gain_interval(one: np.ndarray, other: np.ndarray, resamples: int, seed: int) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of the difference of two accuracies on the same pictures, which
    are drawn together; `one`, `other`: (n,) bool, n > 0.

    What is drawn is only counted, so the three counts are drawn directly: one is right alone, the other is,
    neither or both are.
    """
    n = len(one)
    alone = np.array([(one & ~other).sum(), (other & ~one).sum()])
    shares = np.append(alone, n - alone.sum()) / n
    drawn = np.random.default_rng(seed).multinomial(n, shares, size=resamples)
    low, high = np.percentile((drawn[:, 0] - drawn[:, 1]) / n, [2.5, 97.5])
    return float(low), float(high)
