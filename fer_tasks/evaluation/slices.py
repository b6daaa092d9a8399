"""Where a model is right less often: its accuracy by slices of the pictures, and the gaps between slices."""

from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import pandas as pd

from fer_tasks.evaluation.significance import LEVEL, difference_interval
from fer_tasks.evaluation.wilson import wilson_interval
from fer_tasks.labels import EXPRESSIONS, groups_among

LEAST = 30  # pictures that a slice needs to be compared with others
LARGEST = 8  # values of a column of groups that are slices of their own; the others together are one
LONGEST = 40  # characters of a value
UNKNOWN = "unknown"  # the slice of pictures that were not measured, or put into no group
COLUMNS = ["by", "slice", "faces", "right", "accuracy", "low", "high", "answered", "compared"]


class Measure(NamedTuple):
    """A measure of faces, and where it is cut into slices."""

    name: str
    column: str
    unit: str = ""
    limits: tuple[float, ...] = ()  # none: those of `thirds`


MEASURES = (
    Measure("face size", "face_side", " px"),
    Measure("light", "brightness"),
    Measure("sharpness", "sharpness"),
    Measure("yaw", "yaw", "", (0.2, 0.5)),
    Measure("roll", "roll", "°", (5, 15)),
    Measure("covered", "covered", "", (0.1, 0.4)),
)


def slices_of(faces: pd.DataFrame) -> dict[str, pd.Series]:
    """The slice of each face by its expression, by each of MEASURES and by each column `group_…`: ordered
    categories, those without a face among them; NaN where a face has none.

    `faces`: label and, where they are known, the columns of MEASURES, whose sign does not count, and the
    groups as text. A measure that no face has, or whose column is not there, has no slices.
    """
    slices = {"expression": pd.Series(pd.Categorical(faces["label"], EXPRESSIONS, ordered=True))}
    for measure in MEASURES:
        values = pd.Series(faces.get(measure.column, np.nan), faces.index, dtype=float).abs()
        slices[measure.name] = cut(values, measure.limits or thirds(values), measure.unit)
    return slices | {name: by_value(faces[name]) for name in groups_among(faces)}


def thirds(values: pd.Series) -> Sequence[float]:
    """The limits, of three digits, between thirds of the values, or between halves where thirds have fewer
    than LEAST of them and halves do not; fewer where values are equal."""
    known = values.dropna()
    shares = (1 / 2,) if 2 * LEAST <= len(known) < 3 * LEAST else (1 / 3, 2 / 3)
    limits = {float(f"{known.quantile(share):.3g}") for share in shares} if len(known) else set()
    return sorted(limit for limit in limits if known.min() <= limit < known.max())


def cut(values: pd.Series, limits: Sequence[float], unit: str) -> pd.Series:
    """The slice of each value, `up to` the first of the rising limits, … to `over` the last; one of all
    without limits. There are no slices of no value."""
    if values.isna().all():
        return pd.Series(pd.Categorical([np.nan] * len(values), []))
    told = [f"{limit:,g}" for limit in limits]
    between = [f"{low} to {high}{unit}" for low, high in zip(told, told[1:], strict=False)]
    names = [f"up to {told[0]}{unit}", *between, f"over {told[-1]}{unit}"] if told else ["all"]
    if values.nunique() == 1 and not told:
        names = [f"{values.max():,g}{unit}"]
    return pd.Series(pd.cut(values, [-np.inf, *limits, np.inf], labels=names))


def by_value(values: pd.Series) -> pd.Series:
    """The slice of each value of a column of groups: the LARGEST values in their order, and one of all
    others; thirds, where there are more values and all are numbers. `values`: text, "" or NaN where unknown.
    """
    named = values.notna() & (values != "") & (values.str.lower() != UNKNOWN)
    known = values.where(named).str.slice(0, LONGEST)
    counts = known.value_counts()
    numbers = pd.to_numeric(known, errors="coerce")
    if len(counts) > LARGEST and numbers.notna().equals(known.notna()):
        return cut(numbers, thirds(numbers), "")
    largest, rest = sorted(counts.index[:LARGEST], key=_natural), len(counts) - LARGEST
    if rest > 0:
        others = f"{rest} other values"
        known = known.where(known.isna() | known.isin(largest), others)
        largest = [*dict.fromkeys([*largest, others])]
    return pd.Series(pd.Categorical(known, largest, ordered=True))


def _natural(value: str) -> tuple[float, str]:
    """Sorts `3-9` before `10-19`."""
    head = value.lstrip("<>=≤≥ ").partition("-")[0]
    return (float(head), value) if head.isdecimal() else (np.inf, value)


def accuracy_by_slice(
    slices: Mapping[str, pd.Series], right: np.ndarray, answered: np.ndarray
) -> pd.DataFrame:
    """A row a slice: COLUMNS. `accuracy` with its 95 % interval, and `answered`, the share that the model
    answers without doubt, are NaN of no face; `compared` is whether it is known and has LEAST faces.

    `slices`: of `slices_of`. `right`, `answered`: (n,) bool. Faces without a slice are in one of the name
    UNKNOWN, if there are any.
    """
    rows = []
    for by, names in slices.items():
        for name in [*names.cat.categories, *([UNKNOWN] if names.isna().any() else [])]:
            inside = (names.isna() if name == UNKNOWN else names == name).to_numpy()
            n, k = int(inside.sum()), int(right[inside].sum())
            interval = wilson_interval(k, n) if n else (np.nan, np.nan)
            shares = (k / n, *interval, answered[inside].mean()) if n else (np.nan,) * 4
            rows.append((by, name, n, k, *shares, name != UNKNOWN and n >= LEAST))
    return pd.DataFrame(rows, columns=COLUMNS)


def largest_gaps(table: pd.DataFrame) -> pd.DataFrame:
    """A row for each `by` of `accuracy_by_slice`: by, `slices` that are compared, `worst` and `best` of them,
    `gap`, the difference of their accuracies, with its interval `low`, `high`, and `beyond_chance`.

    Whoever picks the largest of many gaps picks chance along. So the interval is as wide as if all pairs of
    slices had been looked at (Bonferroni): in 95 of 100 such tables all pairs lie in theirs. All but the
    first two are NaN, "" or False with fewer than two slices to compare.
    """
    rows = []
    for by, of_one in table.groupby("by", sort=False):
        known = of_one[of_one["compared"]].sort_values("accuracy", kind="stable")
        k = len(known)
        if k < 2:
            rows.append((by, k, "", "", np.nan, np.nan, np.nan, False))
            continue
        worst, best = known.iloc[0], known.iloc[-1]
        z = NormalDist().inv_cdf(1 - LEVEL / (k * (k - 1)))
        low, high = difference_interval((best["right"], best["faces"]), (worst["right"], worst["faces"]), z)
        gap = best["accuracy"] - worst["accuracy"]
        rows.append((by, k, worst["slice"], best["slice"], gap, low, high, low > 0))
    columns = ["by", "slices", "worst", "best", "gap", "low", "high", "beyond_chance"]
    return pd.DataFrame(rows, columns=columns)
