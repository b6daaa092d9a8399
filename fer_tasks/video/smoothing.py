"""Smooth the answers about one face over time."""

import math
from collections.abc import Sequence

import numpy as np

from fer_tasks.video.tracking import LIFE

LEAST = 1e-6  # a probability of 0 would hold for ever


class Smoother:
    """An exponential mean of the log probabilities of each track, whatever the time between frames: what lies
    `seconds` back weighs 1/e of what is seen now."""

    def __init__(self, seconds: float):
        self._seconds = seconds
        self._means: dict[int, tuple[float, np.ndarray]] = {}  # of a track: when last seen, and (k,)

    def update(self, tracks: Sequence[int], probabilities: np.ndarray, time: float) -> np.ndarray:
        """(n, k) smoothed probabilities of the n faces of a frame, which sum to 1.

        `tracks`: their n ids, each once. `probabilities`: (n, k). `time`: s, not before that of the last
        frame.
        """
        self._means = {track: mean for track, mean in self._means.items() if time - mean[0] <= LIFE}
        for track, seen in zip(tracks, np.log(np.maximum(probabilities, LEAST)), strict=True):
            before, mean = self._means.get(track, (time, seen))
            share = math.exp((before - time) / self._seconds)
            self._means[track] = time, share * mean + (1 - share) * seen
        means = np.array([self._means[track][1] for track in tracks]).reshape(probabilities.shape)
        powers = np.exp(means)
        return powers / powers.sum(axis=1, keepdims=True)
