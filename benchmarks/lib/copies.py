"""Copies of photos found again: by the photos' hashes, by faces laid onto each other, by `cleanvision`."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.random import Generator

from benchmarks.lib import cleanvision_reference
from benchmarks.lib.faces import CutFace, anew
from benchmarks.lib.rule_scores import our, score
from fer_tasks.cleaning.description import CroppedFace, Description, describe_files
from fer_tasks.cleaning.duplicates import find_copies
from fer_tasks.storage.images import encode_png, read_image

ANY_BITS, ANY_CORRELATION = 128, -1.0  # limits so wide that the numbers themselves come back
MEASURES = ("copy_bits", "copy_correlation")


def resized(photo: np.ndarray, rng: Generator) -> np.ndarray:
    """To 40 to 85 %."""
    share = rng.uniform(0.4, 0.85)
    return cv2.resize(photo, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)


def recompressed(photo: np.ndarray, rng: Generator) -> np.ndarray:
    """By JPEG of quality 20 to 50."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(20, 51))]
    return cv2.imdecode(cv2.imencode(".jpg", photo, quality)[1], cv2.IMREAD_COLOR)


def brighter(photo: np.ndarray, rng: Generator) -> np.ndarray:
    return cv2.convertScaleAbs(photo, alpha=rng.uniform(1, 1.2), beta=rng.uniform(5, 25))


def mirrored(photo: np.ndarray, rng: Generator) -> np.ndarray:
    return np.ascontiguousarray(photo[:, ::-1])


def cropped(share: float) -> Callable[[np.ndarray, Generator], np.ndarray]:
    """Without `share` of its height and of its width, from one side, the other or both."""

    def crop(photo: np.ndarray, rng: Generator) -> np.ndarray:
        off = np.array(photo.shape[:2]) * share
        top, left = (off * rng.uniform(0, 1, 2)).round().astype(int)
        height, width = (np.array(photo.shape[:2]) - off).round().astype(int)
        return np.ascontiguousarray(photo[top : top + height, left : left + width])

    return crop


COPIES: dict[str, Callable[[np.ndarray, Generator], np.ndarray]] = {
    "resized": resized,
    "recompressed": recompressed,
    "brighter": brighter,
    "mirrored": mirrored,
    "cropped 4 %": cropped(0.04),
    "cropped 10 %": cropped(0.1),
    "mirrored, cropped 10 %": lambda photo, rng: cropped(0.1)(mirrored(photo, rng), rng),
}


def on_copies(faces: list[CutFace], first: np.ndarray) -> list[dict[str, Any]]:
    """Each kind of copy of the second half's photos, saved as JPEG, among all photos: by each number, by both
    and by cleanvision. `lost`: the share of the copies in which no face is found."""
    second = [face for face, known in zip(faces, first, strict=True) if not known]
    sound = nearest(faces)
    theirs = len(faces) - len(set(cleanvision_reference.near_duplicates([face.photo for face in faces])))
    rows = []
    for kind, make in COPIES.items():
        with tempfile.TemporaryDirectory() as folder:
            made = anew(second, make, Path(folder))
            copies = [copy for copy in made if copy]
            found = nearest([*faces, *copies]).iloc[len(faces) :]
            scores = [
                {"fault": kind, **score(our("near_copy", of)[0], sound[of].to_numpy(), first, found[of])}
                for of in MEASURES
            ]
            paths = [face.photo for face in [*faces, *copies]]
            of = np.array(cleanvision_reference.near_duplicates(paths))
        original = [k for k, known in enumerate(first) if not known]
        pairs = [k for k, copy in zip(original, made, strict=True) if copy]
        rows += [{**row, "by": by} for row, by in zip(scores, MEASURES, strict=True)]
        rows.append({"fault": kind, "by": "both", **_both(sound[~first], found)})
        same = float((of[pairs] == of[len(faces) :]).mean())
        rows.append({"fault": kind, "by": "cleanvision", **_shares(same, theirs / len(faces))})
        for row in rows[-4:]:
            row["lost"] = 1 - len(copies) / len(second)
    return rows


def _both(sound: pd.DataFrame, found: pd.DataFrame) -> dict[str, float]:
    bits, correlation = (our("near_copy", of)[0].given for of in MEASURES)
    recall, false = (
        float(((of["copy_bits"] < bits) | (of["copy_correlation"] > correlation)).mean())
        for of in (found, sound)
    )
    return _shares(recall, false)


def _shares(recall: float, false: float) -> dict[str, float]:
    return {"recall": recall, "false": false, "precision": recall / max(recall + false, 1e-9)}


def nearest(
    faces: Sequence[CutFace], bits: int = ANY_BITS, correlation: float = ANY_CORRELATION
) -> pd.DataFrame:
    """copy_bits and copy_correlation of each face to the nearest of the others within these limits, and
    group_id."""
    with tempfile.TemporaryDirectory() as folder:
        table = pd.DataFrame(
            {
                "image_id": [f"{k:06}" for k in range(len(faces))],
                "path": [Path(folder, f"{k:06}.png") for k in range(len(faces))],
                "photo_phash": [face.photo_phash for face in faces],
            }
        )
        for path, face in zip(table["path"], faces, strict=True):
            path.write_bytes(encode_png(face.image))
        return find_copies(read_image, table, describe(table["path"]), bits, correlation)


def describe(paths: Sequence[Path]) -> Description:
    """What the search for copies looks at, of faces as files; without landmarks, so without covers."""
    described = describe_files(read_image, [CroppedFace(path, None, 0) for path in paths])
    return Description(*(np.stack(numbers) for numbers in zip(*described, strict=True)))
