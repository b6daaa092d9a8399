"""Give faces that follow each other from frame to frame the same id: by how much their boxes overlap."""

import numpy as np

LIFE = 1.0  # s that a face may be away before it is taken for another one
OVERLAP = 0.3  # the least intersection over union of a face's boxes in two frames


class Tracker:
    """Hands out ids, from 0 on. Bewley et al., "Simple Online and Realtime Tracking" (ICIP 2016), without
    their model of movement."""

    def __init__(self) -> None:
        self._boxes: dict[int, np.ndarray] = {}  # where each face was last
        self._seen: dict[int, float] = {}  # and when, in s
        self._next = 0

    def update(self, boxes: np.ndarray, time: float) -> list[int]:
        """The ids of a frame's faces, each once.

        `boxes`: (n, 4) row, column, height, width. `time`: s, not before that of the last frame. A face takes
        the id of the last LIFE seconds whose box it overlaps most, as all faces together do best (Hungarian
        assignment); otherwise a new one.
        """
        self._forget(time)
        known = list(self._boxes)
        ids = [-1] * len(boxes)
        for face, place in _pairs(boxes, np.array([self._boxes[track] for track in known])):
            ids[face] = known[place]
        for face, track in enumerate(ids):
            self.keep(self._next if track < 0 else track, boxes[face], time)
            ids[face] = self._next - 1 if track < 0 else track
        return ids

    def keep(self, track: int, box: np.ndarray, time: float) -> None:
        """Note where the face of an id is, one of its own or of an earlier run."""
        self._boxes[track], self._seen[track] = box, time
        self._next = max(self._next, track + 1)

    def end_all(self) -> None:
        """The scene has changed: no face goes on."""
        self._boxes.clear()

    def _forget(self, time: float) -> None:
        self._boxes = {track: box for track, box in self._boxes.items() if time - self._seen[track] <= LIFE}
        self._seen = {track: self._seen[track] for track in self._boxes}


def overlaps(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of (n, 4) and (m, 4) boxes (row, column, height, width): (n, m), 0..1."""
    start = np.maximum(some[:, None, :2], others[None, :, :2])
    end = np.minimum((some[:, :2] + some[:, 2:])[:, None], (others[:, :2] + others[:, 2:])[None])
    common = (end - start).clip(0).prod(axis=2)
    both = some[:, None, 2:].prod(axis=2) + others[None, :, 2:].prod(axis=2) - common
    return common / np.maximum(both, np.finfo(float).tiny)


def _pairs(some: np.ndarray, others: np.ndarray) -> list[tuple[int, int]]:
    """Which of some boxes goes with which of the others."""
    if not len(some) or not len(others):
        return []
    from scipy.optimize import linear_sum_assignment  # here: who asks about a photo must not wait for it

    shares = overlaps(some, others)
    shares[shares < OVERLAP] = 0
    rows, columns = linear_sum_assignment(shares, maximize=True)
    return [(int(i), int(k)) for i, k in zip(rows, columns, strict=True) if shares[i, k]]
