"""The interval of a share: Wilson, "Probable Inference, the Law of Succession, and Statistical Inference",
JASA 1927."""

from math import sqrt

Z = 1.959963984540054  # the 97.5 % quantile of the normal distribution


def wilson_interval(k: int, n: int, z: float = Z) -> tuple[float, float]:
    """The interval of the share of k in n, of 95 % by default; it has a width even for none or all of them.

    As `scipy.stats.binomtest(k, n).proportion_ci(method="wilson")`, which takes a second to import. `z`: the
    quantile of the normal distribution that stands for another level.

    Raises:
        ValueError: n is 0.
    """
    if n < 1:
        raise ValueError("an interval needs at least one picture")
    share, squared = k / n, z**2 / n
    middle = (share + squared / 2) / (1 + squared)
    half = sqrt(squared * share * (1 - share) + squared**2 / 4) / (1 + squared)
    return (middle - half if k else 0.0), (middle + half if k < n else 1.0)
