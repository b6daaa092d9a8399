"""A picture of the seven expressions over time, for each face of a video."""

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fer_tasks.labels import EXPRESSIONS

STEPS = 1000  # along the picture, at most: a longer video has longer steps
SHORTEST = 0.04  # s of a step
ROUNDING = 1e-6  # steps
GAP = 2.5  # times the usual time between two answers: longer without the face is left open
SHOWN = 8  # faces: those that are seen longest


class Timeline:
    """Collects the answers of a video of any length in little memory: means by track and step of time."""

    def __init__(self) -> None:
        self._step = SHORTEST  # s
        self._end = 0.0  # s
        self._sums: dict[int, dict[int, np.ndarray]] = {}  # by track and step: (8,) sums and their number

    def add(self, time: float, tracks: Sequence[int], probabilities: np.ndarray) -> None:
        """`time`: s. `tracks`: the ids of the n faces of a frame. `probabilities`: (n, 7)."""
        self._end = max(self._end, time)
        while self._end >= STEPS * self._step:
            self._step *= 2
            self._sums = {track: _halved(sums) for track, sums in self._sums.items()}
        for track, shares in zip(tracks, probabilities, strict=True):
            sums, step = self._sums.setdefault(track, {}), math.floor(time / self._step + ROUNDING)
            sums[step] = sums.get(step, 0) + np.append(shares, 1)

    def png(self, title: str, colours: Mapping[str, str]) -> bytes:
        """The picture. `colours`: of each expression."""
        from matplotlib.figure import Figure  # here: who only wants rows must not wait for it

        longest = sorted(self._sums, key=lambda track: -len(self._sums[track]))[:SHOWN]
        tracks = sorted(longest, key=lambda track: min(self._sums[track]))
        left_out = len(self._sums) - len(tracks)
        rest = f", without {left_out:,} that are seen for a shorter time" if left_out else ""
        lines = max(len(tracks), 1)
        figure = Figure(figsize=(11, 1.25 * lines + 1.3), layout="constrained")
        axes = figure.subplots(lines, 1, sharex=True, squeeze=False)[:, 0]
        for ax, track in zip(axes, tracks, strict=False):
            self._draw(ax, track, colours)
        axes[-1].set_xlim(0, max(self._end + self._step, 2 * SHORTEST))
        axes[-1].xaxis.set_major_formatter(lambda time, _: clock(time, self._end))
        axes[-1].set_xlabel("time in the video" if tracks else "no face was seen")
        figure.suptitle(title + rest, x=0.01, ha="left", fontsize=11)
        if tracks:
            handles = axes[0].get_legend_handles_labels()
            figure.legend(*handles, loc="outside lower center", ncols=len(EXPRESSIONS), frameon=False)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=110)
        return buffer.getvalue()

    def _draw(self, ax: Any, track: int, colours: Mapping[str, str]) -> None:
        steps = sorted(self._sums[track])
        sums = np.array([self._sums[track][step] for step in steps])
        times, shares = _with_gaps(np.array(steps) * self._step, sums[:, :-1] / sums[:, -1:], self._step)
        filled = [colours[name] for name in EXPRESSIONS]
        ax.stackplot(times, shares.T, step="post", colors=filled, labels=EXPRESSIONS, lw=0)
        most = EXPRESSIONS[int(sums[:, :-1].sum(axis=0).argmax())]
        span = f"{clock(times[0], self._end)} to {clock(times[-1], self._end)}"
        ax.set_title(f"face {track}: {span}, mostly {most}", loc="left", fontsize=9)
        ax.set_ylim(0, 1)
        ax.set_yticks([0, 0.5, 1], ["0", "50 %", "100 %"])
        ax.spines[["top", "right"]].set_visible(False)


def clock(seconds: float, length: float) -> str:
    """A time in a video of this length, s: 7.5 s; 1:15 or 1:01:15 in one of a minute or more."""
    if length < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(math.floor(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _halved(sums: Mapping[int, np.ndarray]) -> dict[int, np.ndarray]:
    """The sums by steps that are twice as long."""
    halved: dict[int, np.ndarray] = {}
    for step, one in sums.items():
        halved[step // 2] = halved.get(step // 2, 0) + one
    return halved


def _with_gaps(times: np.ndarray, shares: np.ndarray, step: float) -> tuple[np.ndarray, np.ndarray]:
    """With points of NaN where the face is away for longer than GAP, and one at the end."""
    usual = float(np.median(np.diff(times))) if len(times) > 1 else step
    ends = np.append(np.flatnonzero(np.diff(times) > GAP * usual), len(times) - 1)
    stops = times[ends] + usual
    # Each stretch holds its last value for one more step, and is followed by nothing.
    times = np.insert(times, np.repeat(ends + 1, 2), np.repeat(stops, 2))
    held = np.stack([shares[ends], np.full_like(shares[ends], np.nan)], axis=1).reshape(-1, shares.shape[1])
    return times, np.insert(shares, np.repeat(ends + 1, 2), held, axis=0)
