"""Make copies of photos and find them: by the photos' hashes, by the faces' correlation, by `cleanvision`."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.random import Generator

from benchmarks.lib import cleanvision_reference
from benchmarks.lib.faces import CutFace, detect_again
from benchmarks.lib.rule_scores import our, score
from fer_tasks.cleaning.description import Description, describe_files
from fer_tasks.cleaning.duplicates import find_copies
from fer_tasks.storage.images import encode_png, read_image

ANY_BITS, ANY_CORRELATION = 128, -1.0  # limits so wide that every face gets a nearest copy
MEASURES = ("copy_bits", "copy_correlation")


def resized(photo: np.ndarray, rng: Generator) -> np.ndarray:
    """Shrink a photo to 40 to 85 % of its size."""
    share = rng.uniform(0.4, 0.85)
    return cv2.resize(photo, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)


def recompressed(photo: np.ndarray, rng: Generator) -> np.ndarray:
    """Compress a photo by JPEG with a quality of 20 to 50."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(20, 51))]
    return cv2.imdecode(cv2.imencode(".jpg", photo, quality)[1], cv2.IMREAD_COLOR)


def brighter(photo: np.ndarray, rng: Generator) -> np.ndarray:
    return cv2.convertScaleAbs(photo, alpha=rng.uniform(1, 1.2), beta=rng.uniform(5, 25))


def mirrored(photo: np.ndarray, rng: Generator) -> np.ndarray:
    return np.ascontiguousarray(photo[:, ::-1])


def cropped(share: float) -> Callable[[np.ndarray, Generator], np.ndarray]:
    """Return a function that cuts `share` of the height and of the width off a photo, at random sides."""

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
    """Find each kind of copy of the second half's photos, saved as JPEG, among all photos: rows for each of
    our measures, for both together and for cleanvision.

    `first`: (n,) bool, the faces of the first half. `lost`: the share of copies in which no face is detected.
    """
    second = [face for face, in_first in zip(faces, first, strict=True) if not in_first]
    unchanged = nearest(faces)
    theirs = len(faces) - len(set(cleanvision_reference.near_duplicates([face.photo for face in faces])))
    rows = []
    for kind, make in COPIES.items():
        with tempfile.TemporaryDirectory() as folder:
            made = detect_again(second, make, Path(folder))
            copies = [copy for copy in made if copy]
            measured = nearest([*faces, *copies]).iloc[len(faces) :]
            for measure in MEASURES:
                judge, values = our("near_copy", measure)[0], unchanged[measure].to_numpy()
                row = score(judge, values, first, measured[measure])
                rows.append({"fault": kind, **row, "by": measure})
            paths = [face.photo for face in [*faces, *copies]]
            sets = np.array(cleanvision_reference.near_duplicates(paths))
        original = [k for k, in_first in enumerate(first) if not in_first]
        pairs = [k for k, copy in zip(original, made, strict=True) if copy]
        rows.append({"fault": kind, "by": "both", **_both(unchanged[~first], measured)})
        recall = float((sets[pairs] == sets[len(faces) :]).mean())
        rows.append({"fault": kind, "by": "cleanvision", **_shares(recall, theirs / len(faces))})
        for row in rows[-4:]:
            row["lost"] = 1 - len(copies) / len(second)
    return rows


def _both(unchanged: pd.DataFrame, copies: pd.DataFrame) -> dict[str, float]:
    bits, correlation = (our("near_copy", measure)[0].given for measure in MEASURES)
    recall, false = (
        float(((faces["copy_bits"] < bits) | (faces["copy_correlation"] > correlation)).mean())
        for faces in (copies, unchanged)
    )
    return _shares(recall, false)


def _shares(recall: float, false: float) -> dict[str, float]:
    return {"recall": recall, "false": false, "precision": recall / max(recall + false, 1e-9)}


def nearest(
    faces: Sequence[CutFace], bits: int = ANY_BITS, correlation: float = ANY_CORRELATION
) -> pd.DataFrame:
    """`find_copies` among the faces, within these limits: group_id, copy_bits, copy_correlation and more."""
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
    """The features of faces in files for `find_copies`."""
    described = describe_files(read_image, paths)
    return Description(*(np.stack(features) for features in zip(*described, strict=True)))
