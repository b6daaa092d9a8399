"""Figures from tables and arrays, as PNG bytes, and heat maps over pictures."""

import io
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

BLUE, ORANGE, GREY = "#1b6ca8", "#c8501e", "#8a8f98"  # apart for all kinds of colour vision
HEAT_SHARE = 0.45  # of a heat map in `overlay`


def learning_curves(histories: Mapping[str, pd.DataFrame]) -> bytes:
    """Accuracy and loss by epoch, two cells a row; `histories` has epoch, loss, accuracy, val_loss,
    val_accuracy.

    The epoch with the highest validation accuracy is marked, of equals the one with the lowest loss. Accuracy
    has the same axis for all cells.
    """
    beside = min(2, len(histories))
    rows = -(-len(histories) // beside)
    figure = Figure(figsize=(9 if beside == 1 else 12, 2.1 * rows + 0.6), layout="constrained")
    axes = figure.subplots(rows, 2 * beside, squeeze=False).reshape(-1, 2)
    for (cell, history), pair in zip(histories.items(), axes, strict=False):
        ranked = history.sort_values(["val_accuracy", "val_loss"], ascending=[False, True])
        best = ranked["epoch"].iloc[0]
        for ax, name in zip(pair, ("accuracy", "loss"), strict=True):
            ax.plot(history["epoch"], history[name], "--", color=GREY, label="train")
            ax.plot(history["epoch"], history[f"val_{name}"], "-o", ms=3, color=BLUE, label="validation")
            ax.axvline(best, color=ORANGE, lw=1, label="best epoch")
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
            _tidy(ax, f"{cell}: {name}")
        pair[0].set_ylim(0, 1)
        pair[1].set_ylim(bottom=0)
    for ax in axes[len(histories) :].ravel():
        ax.set_axis_off()
    handles = axes[0][0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=3, fontsize=9, frameon=False)
    return _png(figure)


def confusion_matrix(counts: np.ndarray, names: Sequence[str]) -> bytes:
    """Counts of (true, predicted) classes, shaded by the share of the true class; `counts`: (k, k) int."""
    figure = Figure(figsize=(6.4, 5.4), layout="constrained")
    ax = figure.subplots()
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ax.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (row, column), n in np.ndenumerate(counts):
        shade = "white" if share[row, column] > 0.5 else "black"
        ax.text(
            column, row, f"{n}\n{share[row, column]:.0%}", ha="center", va="center", color=shade, fontsize=8
        )
    ax.set_xticks(range(len(names)), names, rotation=35, ha="right")
    ax.set_yticks(range(len(names)), names)
    ax.set_xlabel("predicted")
    ax.set_ylabel("true")
    return _png(figure)


def accuracies(board: pd.DataFrame) -> bytes:
    """Test accuracy of each cell with its interval, and what others published of it.

    `board`: a row a cell with cell, test_accuracy, test_low and test_high, NaN where it was not trained, and
    published_accuracy where there is any.
    """
    board = board[board["test_accuracy"].notna()]
    figure = Figure(figsize=(9, 0.22 * len(board) + 1.3), layout="constrained")
    ax = figure.subplots()
    y = np.arange(len(board))
    ax.hlines(y, 100 * board["test_low"], 100 * board["test_high"], color=BLUE, lw=1.5)
    ax.plot(100 * board["test_accuracy"], y, "o", color=BLUE, ms=4.5, label="here, with its 95 % interval")
    if "published_accuracy" in board:
        published = 100 * board["published_accuracy"]
        ax.plot(published, y, "D", color=ORANGE, ms=4.5, label="published, on other pictures")
    ax.set_yticks(y, board["cell"])
    ax.set_ylim(len(board) - 0.5, -0.5)
    _tidy(ax, "% of the test pictures predicted right")
    ax.grid(axis="both", color=GREY, alpha=0.2)
    figure.legend(loc="outside lower center", ncols=2, fontsize=9, frameon=False)
    return _png(figure)


def reliability(bins: pd.DataFrame) -> bytes:
    """The reliability diagram (DeGroot & Fienberg 1983): accuracy by confidence, and how many pictures there
    are of each; `bins` is a table of `scores.reliability`."""
    figure = Figure(figsize=(6.4, 5.4), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    left, width = 100 * bins["low"], 100 * (bins["high"] - bins["low"])
    top.bar(
        left, 100 * bins["accuracy"], width, align="edge", color=BLUE, ec="white", label="predicted right"
    )
    gap = 100 * (bins["confidence"] - bins["accuracy"])
    style = {"fc": "none", "ec": ORANGE, "hatch": "///", "lw": 0.8}
    top.bar(left, gap, width, bottom=100 * bins["accuracy"], align="edge", label="gap to confidence", **style)
    top.plot([0, 100], [0, 100], "--", color=GREY, lw=1, label="as sure as it is right")
    top.set_ylim(0, 100)
    top.legend(fontsize=8, frameon=False, loc="upper left")
    bottom.bar(left, bins["n"], width, align="edge", color=GREY, ec="white")
    bottom.set_xlabel("confidence, %")
    bottom.set_xlim(0, 100)
    _tidy(top, "predicted right, %")
    _tidy(bottom, "pictures")
    return _png(figure)


def accuracy_by_share(accuracies: Mapping[float, float], answered: float, accuracy: float | None) -> bytes:
    """Accuracy where only the surest pictures are answered, by their share, 0..1 (the complement of a
    risk-coverage curve); the point is where the threshold of doubt lies, if it leaves any to answer."""
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    ax = figure.subplots()
    ax.plot([100 * share for share in accuracies], [100 * each for each in accuracies.values()], color=BLUE)
    if accuracy is not None:
        ax.plot(100 * answered, 100 * accuracy, "o", color=ORANGE, label="at the threshold of doubt")
        ax.legend(fontsize=8, frameon=False, loc="lower left")
    ax.set_xlim(100, 0)
    ax.set_ylim(0, 101)
    ax.set_xlabel("answered, % of the pictures, the surest first")
    _tidy(ax, "predicted right, % of those answered")
    ax.grid(color=GREY, alpha=0.2)
    return _png(figure)


def histogram(values: np.ndarray, name: str, low: float, high: float, log: bool) -> bytes:
    """How often each value is met; those below `low` and above `high`, which may be infinite, stand out.

    `values`: (n,) float, finite; on a logarithmic axis those above 0 are shown.
    """
    figure = Figure(figsize=(5, 2.5), layout="constrained")
    ax = figure.subplots()
    shown = values[values > 0] if log else values
    inside = (shown >= low) & (shown <= high)
    bins = np.histogram_bin_edges(np.log10(shown) if log else shown, 40)
    parts = [shown[inside], shown[~inside]]
    ax.hist(parts, 10**bins if log else bins, stacked=True, color=[BLUE, ORANGE])
    for limit in (low, high):
        if np.isfinite(limit):
            ax.axvline(limit, color=ORANGE, ls="--", lw=1.5)
    if log:
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter("{x:g}")
    _tidy(ax, "")
    ax.set_title(name, fontsize=12, loc="left")
    limits = " and ".join(f"{limit:g}" for limit in (low, high) if np.isfinite(limit))
    ax.set_title(f"limit {limits}" if limits else "", fontsize=11, loc="right", color=ORANGE)
    ax.tick_params(labelsize=10)
    return _png(figure)


def ablation(steps: pd.DataFrame, names: Sequence[str], bands: Mapping[str, tuple[float, float]]) -> bytes:
    """Accuracy and macro-F1 of each step with their intervals, and what the step changed beside it.

    `steps`: columns of `bootstrap.compare`, NaN where a step was not trained. `names`: what to call them.
    `bands`: ranges of accuracy to draw in grey, by what they are.
    """
    figure = Figure(figsize=(10, 0.34 * len(steps) + 1.5), layout="constrained")
    scores, gains = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    for (name, (low, high)), shade in zip(bands.items(), (0.45, 0.8), strict=False):
        scores.axvspan(100 * low, 100 * high, color=GREY, alpha=shade, lw=0, label=name)
    for ax, suffix in ((scores, ""), (gains, "_gain")):
        for metric, label, color, mark, shift in (
            ("accuracy", "accuracy", BLUE, "o", -0.13),
            ("macro_f1", "macro-F1", ORANGE, "D", 0.13),
        ):
            value, low, high = (100 * steps[f"{metric}{suffix}{end}"] for end in ("", "_low", "_high"))
            y = np.arange(len(steps)) + shift
            ax.hlines(y, low, high, color=color, lw=1.5)
            ax.plot(value, y, mark, color=color, ms=4.5, label=label)
    gains.axvline(0, color=GREY, lw=1)
    scores.set_yticks(range(len(steps)), names)
    scores.invert_yaxis()
    for ax, title in ((scores, "% of the test faces"), (gains, "against the step before, points")):
        _tidy(ax, f"{title}; 95 % intervals")
        ax.grid(axis="y", color=GREY, alpha=0.2)
    figure.legend(
        *scores.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8, frameon=False
    )
    return _png(figure)


def slices(table: pd.DataFrame, overall: tuple[float, float, float], dark: bool) -> bytes:
    """Accuracy of each slice with its interval, a kind of slices below the other; those that are too few to
    be compared are hollow.

    `table`: columns of `slices.accuracy_by_slice`. `overall`: the accuracy of all faces and its interval.
    `dark`: for a dark page.
    """
    ink, paper, mark = ("#e8e6e1", "#1d2127", "#6db3e8") if dark else ("#1b1f24", "white", BLUE)
    colours = {"text.color": ink, "axes.edgecolor": GREY, "xtick.color": ink, "ytick.color": ink}
    with rc_context(colours | {"figure.facecolor": paper, "axes.facecolor": paper}):
        first = ~table["by"].duplicated()
        y = np.arange(len(table)) + 1.3 * first.cumsum().to_numpy()
        figure = Figure(figsize=(7.4, 0.2 * y.max() + 1.1), layout="constrained")
        ax = figure.subplots()
        ax.axvspan(100 * overall[1], 100 * overall[2], color=GREY, alpha=0.25, lw=0)
        ax.axvline(100 * overall[0], color=GREY, ls="--", lw=1.2, label="all test faces, with the interval")
        ax.hlines(y, 100 * table["low"], 100 * table["high"], color=mark, lw=1.5)
        compared = table["compared"].to_numpy(bool)
        for rows, fill, label in (
            (compared, mark, "slice"),
            (~compared, paper, "too few, or unknown: not compared"),
        ):
            ax.plot(100 * table["accuracy"][rows], y[rows], "o", color=mark, mfc=fill, ms=5, label=label)
        names = table["slice"] + "   " + table["faces"].map("{:,}".format).str.rjust(5, "\u2007")
        ax.set_yticks(y, names, parse_math=False)
        _name_above(ax, dict(zip(table["by"][first], y[first] - 1, strict=True)))
        ax.set_xlim(0, 101)
        ax.set_ylim(y.max() + 0.7, -0.4)
        _tidy(ax, "% named right, and how many faces a slice has")
        ax.tick_params(axis="y", length=0)
        ax.grid(axis="x", color=GREY, alpha=0.25)
        figure.legend(loc="outside lower center", ncols=3, fontsize=8, frameon=False)
        return _png(figure)


def _name_above(ax: Axes, places: Mapping[str, float]) -> None:
    """Names at these heights, left of the axes."""
    style = {"ha": "right", "va": "center", "fontsize": 9, "weight": "bold", "parse_math": False}
    for name, y in places.items():
        ax.annotate(
            name, (0, y), (-6, 0), xycoords=("axes fraction", "data"), textcoords="offset points", **style
        )


def overlay(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """A heat map, (m, n) float in 0..1, laid over its picture, (M, N, 3) uint8 RGB, from blue to red."""
    size = image.shape[1::-1]
    smooth = cv2.resize(heat, size, interpolation=cv2.INTER_LINEAR)
    colours = cv2.applyColorMap((255 * smooth).round().astype(np.uint8), cv2.COLORMAP_JET)[..., ::-1]
    return cv2.addWeighted(np.ascontiguousarray(colours), HEAT_SHARE, image, 1 - HEAT_SHARE, 0)


def _tidy(ax: Axes, title: str) -> None:
    ax.set_title(title, fontsize=9, loc="left")
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=8)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
