"""Rules of quality on planted faults, and near-copies among many faces.

python -m benchmarks.clean FOLDER     # FOLDER: photos in class folders

Each fault is planted on every face. A rule's threshold is chosen on one half of the photos, so that it drops
1 % of the faces as they are, and the figures are of the other half.
"""

import argparse
import json
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from benchmarks.captions import cut_faces
from fer_tasks.cleaning.duplicates import near_copy_groups
from fer_tasks.faces.signals import light_signals
from fer_tasks.images import perceptual_hash
from fer_tasks.settings import load_settings

SIDE = 150  # px
FALSE = 0.01  # of the faces as they are, on the half that thresholds are chosen on
MANY = 30_000  # faces to find near-copies among


def cartoon(face: np.ndarray) -> np.ndarray:
    """Even colours and black outlines."""
    grey = cv2.medianBlur(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), 5)
    outline = cv2.adaptiveThreshold(grey, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY, 9, 6)
    return cv2.pyrMeanShiftFiltering(face, 12, 35) * (outline[..., None] > 0)


def pencil(face: np.ndarray) -> np.ndarray:
    """Grey lines on white."""
    grey = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)
    lines = cv2.divide(grey, 255 - cv2.GaussianBlur(255 - grey, (0, 0), 8), scale=256)
    return cv2.cvtColor(lines, cv2.COLOR_GRAY2RGB)


class Fault(NamedTuple):
    """What is done to a face, and the signal that should tell; it tells by being too `low`, or too high."""

    plant: Callable[[np.ndarray], np.ndarray]
    signal: str
    low: bool


FAULTS = {
    "blurred": Fault(lambda face: cv2.GaussianBlur(face, (0, 0), 4), "sharpness", True),
    "dark": Fault(lambda face: (face * 0.2).astype(np.uint8), "brightness", True),
    "bright": Fault(lambda face: (255 - (255 - face) * 0.15).astype(np.uint8), "brightness", False),
    "low_contrast": Fault(lambda face: (face * 0.2 + 100).astype(np.uint8), "contrast", True),
    "drawing (cartoon)": Fault(cartoon, "flatness", False),
    "drawing (pencil)": Fault(pencil, "flatness", False),
    "drawing (OpenCV's stylisation)": Fault(cv2.stylization, "flatness", False),
}


def on_planted_faults(faces: list[np.ndarray], first: np.ndarray) -> dict[str, dict[str, float]]:
    """By fault: the threshold; recall, false positives and, for as many faults as faces, precision."""
    as_they_are = [light_signals(face) for face in faces]
    table = {}
    for name, fault in FAULTS.items():
        sign = 1 if fault.low else -1
        sound = sign * np.array([signals[fault.signal] for signals in as_they_are])
        spoilt = sign * np.array([light_signals(fault.plant(face))[fault.signal] for face in faces])
        threshold = np.quantile(sound[first], FALSE)
        recall, false = (spoilt[~first] < threshold).mean(), (sound[~first] < threshold).mean()
        table[name] = {
            "threshold": sign * threshold,
            "recall": recall,
            "false_positive_rate": false,
            "precision": recall / max(recall + false, 1e-9),
        }
    return {name: {key: round(float(x), 4) for key, x in row.items()} for name, row in table.items()}


def recompressed(face: np.ndarray) -> np.ndarray:
    return cv2.imdecode(cv2.imencode(".jpg", face, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], cv2.IMREAD_COLOR)


COPIES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "resized to half": lambda face: cv2.resize(face, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "recompressed": recompressed,
    "brighter": lambda face: cv2.convertScaleAbs(face, alpha=1.1, beta=15),
    "cropped by 4 %": lambda face: np.ascontiguousarray(face[3:-3, 3:-3]),
    "mirrored": lambda face: np.ascontiguousarray(face[:, ::-1]),
}


def near_copies(faces: list[np.ndarray], limit: int) -> dict[str, float]:
    """The share of the copies of each kind that lie within the limit, and of pairs of other faces that do."""
    hashes = [perceptual_hash(face) for face in faces]
    found = {}
    for name, copy in COPIES.items():
        pairs = zip(hashes, (perceptual_hash(copy(face)) for face in faces), strict=True)
        found[name] = float(np.mean([distance(one, two) <= limit for one, two in pairs]))
    others = [distance(one, two) for i, one in enumerate(hashes) for two in hashes[:i]]
    return {**found, "pairs of different faces": float(np.mean(np.array(others) <= limit))}


def distance(one: str, two: str) -> int:
    return (int(one, 16) ^ int(two, 16)).bit_count()


def cost_of_many(limit: int) -> dict[str, float]:
    """Seconds and peak MB of grouping MANY faces by two hashes each, one in a hundred a copy of another."""
    rng = np.random.default_rng(0)
    words = rng.integers(0, 2**64, (MANY, 4), np.uint64)
    words[::100] = words[1::100]
    hashes = [row.tobytes().hex() for row in words]
    tracemalloc.start()
    start = time.perf_counter()
    groups = near_copy_groups([f"{i:08d}" for i in range(MANY)], [hashes, hashes], limit)
    seconds, peak = time.perf_counter() - start, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(set(groups)) == MANY - MANY // 100
    return {"seconds": round(seconds, 2), "peak_mb": round(peak / 2**20)}


def main(photos: Path) -> None:
    faces = {i: sizes[SIDE] for i, sizes in cut_faces(photos, (SIDE,)).items()}
    first = np.array([int(i, 16) % 2 == 0 for i in faces])
    limit = load_settings().clean.near_copy_distance
    rules = on_planted_faults(list(faces.values()), first)
    print(f"{len(faces)} faces, thresholds chosen on {first.sum()}")
    for name, row in rules.items():
        print(f"  {name:32} {row}")
    result = {
        "rules": rules,
        "near_copies": near_copies(list(faces.values()), limit),
        "near_copies_among_30000": cost_of_many(limit),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.clean", description=__doc__)
    parser.add_argument("folder", type=Path, help="photos in class folders")
    main(parser.parse_args().folder)
