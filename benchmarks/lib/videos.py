"""`predict` on videos: frames a second, memory, and how often faces that are followed are those that a search
of each frame finds."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from apps.predict.following import Follower
from apps.predict.predictor import Predictor
from fer_tasks.labels import EXPRESSIONS
from fer_tasks.video import matroska
from fer_tasks.video.tracking import overlaps
from testing import films
from testing.matroska import BY_FOURCC, bitmap_header

RATE = 25  # frames a second
FEW, MANY = 1500, 15_000  # frames of the videos
QUALITY = 60  # of their JPEGs
SAME = 0.5  # intersection over union of boxes of the same face


def rate_and_memory(run: Callable[..., Any], work: Path) -> dict[str, float]:
    """Frames a second of a video of 640 x 480 px with one face, from the file to rows in CSV; and by how much
    ten times as many take more memory. `run(source, *options)` runs the command and returns its `wall_s` and
    `peak_mb`."""
    runs = {}
    for number in (FEW, MANY):
        file = write_long(work / f"{number}.mkv", number)
        runs[number] = run(file, "--out", work / f"{number}.csv")
        file.unlink()
    per_second = (MANY - FEW) / (runs[MANY].wall_s - runs[FEW].wall_s)
    growth = runs[MANY].peak_mb - runs[FEW].peak_mb
    print(f"a video of 640 x 480 px with one face\n  predict{per_second:25.1f} frames/s", end="")
    print(f", peak {runs[MANY].peak_mb:.0f} MB for {MANY:,} frames, {growth:+.0f} MB to {FEW:,}", flush=True)
    return {"video_fps": round(per_second, 1), "video_peak_growth_mb": round(growth)}


def write_long(file: Path, number: int) -> Path:
    """A video of so many frames, by repetition of a portrait that sways for six seconds."""
    options = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    frames = films.moving(films.astronaut(), 6 * RATE)
    jpegs = [cv2.imencode(".jpg", frame[:, :, ::-1], options)[1].tobytes() for frame in frames]
    size = (films.WIDTH, films.HEIGHT)
    track = matroska.track(1, BY_FOURCC, bitmap_header("MJPG", size), matroska.video_size(*size))
    with file.open("wb") as target:
        target.write(matroska.beginning(b"matroska") + matroska.segment(None))
        target.write(matroska.info(b"benchmark", 1000 * number / RATE) + track)
        for i in range(number):
            target.write(matroska.cluster(1000 * i // RATE, jpegs[i % len(jpegs)]))
    return file


def agreement(predictor: Predictor) -> dict[str, float]:
    """The share of the frames in which as many faces were followed as a search finds, each overlapping one by
    more than SAME; the mean overlap; the share of the frames that were searched."""
    print("faces that are followed, beside a search of each frame")
    print(f"  {'film':<20}{'same':>6}{'IoU':>8}{'searched':>10}")
    figures = []
    for name, frames in _films().items():
        figures.append(_compared(predictor, list(frames)))
        print(f"  {name:<20}{figures[-1][0]:6.1%}{figures[-1][1]:8.3f}{figures[-1][2]:10.1%}", flush=True)
    same, overlap, searched = np.mean(figures, axis=0).round(3).tolist()
    return {"followed_same": same, "followed_iou": overlap, "followed_searched": searched}


def _films() -> Mapping[str, Iterable[np.ndarray]]:
    scenes = (films.moving(films.astronaut(), 50), films.crossing(50), films.moving(films.admiral(), 50))
    return {
        "sways, zooms, turns": films.moving(films.astronaut(), 150),
        "three times as fast": films.moving(films.admiral(), 150, 3),
        "acts": films.acting(EXPRESSIONS, 25),
        "two cross": films.crossing(100),
        "two cross, noise": _noisy(films.crossing(100)),
        "three scenes": chain(*scenes),
    }


def _noisy(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(2021)
    for frame in frames:
        yield (frame + rng.normal(0, 8, frame.shape)).clip(0, 255).astype(np.uint8)


def _compared(predictor: Predictor, frames: list[np.ndarray]) -> tuple[float, float, float]:
    counting = _Counting(predictor)
    follower, same, shares = Follower(counting), [], []
    for i, frame in enumerate(frames):
        followed, searched = follower.find(frame, i / RATE)[0].boxes, predictor.detect([frame])[0].boxes
        best = overlaps(followed, searched).max(axis=0, initial=0)
        same.append(len(followed) == len(searched) and bool((best > SAME).all()))
        shares += best[best > SAME].tolist()
    return float(np.mean(same)), float(np.mean(shares)), counting.searches / len(frames)


class _Counting:
    """A predictor that counts its searches."""

    def __init__(self, predictor: Predictor):
        self.follow, self._detect, self.searches = predictor.follow, predictor.detect, 0

    def detect(self, images: list[np.ndarray]) -> list[Any]:
        self.searches += 1
        return self._detect(images)
