"""What cleaning measures of all faces together: covers, copies, doubts about labels; splits follow from
copies."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from prefect import task

from fer_tasks.cleaning import covers, duplicates, label_doubts
from fer_tasks.cleaning.description import CroppedFace, Description, describe_files
from fer_tasks.cleaning.split import assign_splits
from fer_tasks.faces.crop import in_crop
from fer_tasks.labels import EXPRESSIONS
from fer_tasks.settings import Clean
from fer_tasks.storage import images
from fer_tasks.storage.dataset import Dataset
from flows.engine.caching import same_inputs_and_code
from flows.engine.memo_map import map_items, shard_task
from flows.engine.worker_pool import call_in_worker, map_in_workers

# The faces' fingerprint says what the arrays hold.
once = task(cache_policy=same_inputs_and_code(but=["faces", "described"]))
CANDIDATES = 0.6  # cosine of two looks; of 28,000 faces one in ten has another so near
MEASURED_BEFORE = "yaw roll second_face eye_distance brightness contrast sharpness flatness score".split()


@shard_task
def describe(shard: dict[str, tuple[str, str, str, str]]) -> dict[str, Description]:
    faces = [
        CroppedFace(Path(path), _landmarks(landmarks, transform), int(i[:8], 16))
        for i, (_, path, landmarks, transform) in shard.items()
    ]
    return dict(zip(shard, call_in_worker(describe_files, images.read_image, faces), strict=True))


def _landmarks(landmarks: str, transform: str) -> np.ndarray | None:
    return in_crop(np.array(json.loads(landmarks)), np.array(json.loads(transform))) if landmarks else None


def measure(textfree: Dataset, wanted: Clean) -> pd.DataFrame:
    """A row for each face: image_id, label, group_id, split and the numbers that `rules.doubts` looks at."""
    faces = textfree.manifest.sort_values("image_id", ignore_index=True)
    described = _describe_all(textfree, faces)
    bits, correlation = wanted.rules.min_copy_bits - 1, wanted.rules.max_copy_correlation
    copies = copies_of(textfree.fingerprint, textfree.root, bits, correlation, faces, described)
    groups = copies["group_id"].tolist()
    splits = assign_splits(faces.assign(group_id=groups), wanted.test_share, wanted.val_share)
    return pd.concat(
        [
            faces[["image_id", "label"]].assign(split=splits),
            faces[MEASURED_BEFORE],
            copies,
            covered(textfree.fingerprint, described).rename("covered"),
            doubts_of_labels(textfree.fingerprint, groups, faces, described),
        ],
        axis=1,
    )


def _describe_all(textfree: Dataset, faces: pd.DataFrame) -> Description:
    items = {
        row.image_id: (row.pixels, f"{textfree.root}/{row.file}", row.landmarks, row.transform)
        for row in faces.itertuples()
    }
    described = [description for _, description in map_items(describe, items)]
    return Description(*(np.stack(numbers) for numbers in zip(*described, strict=True)))


@once
def copies_of(
    fingerprint: str,
    root: Path,
    max_bits: int,
    min_correlation: float,
    faces: pd.DataFrame,
    described: Description,
) -> pd.DataFrame:
    by_hash = duplicates.near_hashes(faces["photo_phash"].tolist(), max_bits)
    likely = duplicates.look_alikes(described.hog, described.mirrored_hog, CANDIDATES)
    paths = [root / file for file in faces["file"]]
    found = [
        duplicates.correlation(
            images.read_image(paths[one]), _flipped(images.read_image(paths[two]), mirrored)
        )
        for one, two, mirrored, _ in zip(*likely, strict=True)
    ]
    by_look = likely._replace(value=np.array(found))
    by_look = by_look.where(by_look.value > min_correlation)
    return duplicates.near_copies(faces["image_id"].tolist(), by_hash, by_look)


def _flipped(image: np.ndarray, mirrored: bool) -> np.ndarray:
    return np.ascontiguousarray(image[:, ::-1]) if mirrored else image


@once
def covered(fingerprint: str, described: Description) -> pd.Series:
    return pd.Series(covers.cover_probability(described.covers)).round(4)


@once
def doubts_of_labels(
    fingerprint: str, groups: list[str], faces: pd.DataFrame, described: Description
) -> pd.DataFrame:
    labels = faces["label"].map(EXPRESSIONS.index).to_numpy()
    said = label_doubts.out_of_fold(described.hog, labels, np.array(groups), map_in_workers)
    known = np.isfinite(said).all(axis=1)
    suggested = [EXPRESSIONS[k] if sure else "" for k, sure in zip(said.argmax(axis=1), known, strict=True)]
    return pd.DataFrame(
        {"label_doubt": label_doubts.label_doubt(labels, said).round(4), "suggestion": suggested}
    )
