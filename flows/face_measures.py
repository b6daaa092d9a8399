"""What clean measures on all faces together: covered faces, copies, doubtful labels; and splits by copies."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
from prefect import task

from fer_tasks.cleaning import label_doubts
from fer_tasks.cleaning.covers import BadCoverNetwork, CroppedFace, cover_network, covered_files
from fer_tasks.cleaning.description import Description, describe_files
from fer_tasks.cleaning.duplicates import find_copies
from fer_tasks.cleaning.rules import RULES
from fer_tasks.cleaning.split import assign_splits
from fer_tasks.faces.crop import in_crop
from fer_tasks.labels import EXPRESSIONS
from fer_tasks.settings import Clean
from fer_tasks.storage import images
from fer_tasks.storage.dataset import Dataset
from flows.engine.caching import same_inputs_and_code
from flows.engine.memo_map import map_items, shard_task
from flows.engine.worker_pool import call_in_worker, map_in_workers

# The faces' fingerprint identifies the content of the arrays, which would take long to hash.
cached_task = task(cache_policy=same_inputs_and_code(but=["faces", "described"]))


@shard_task
def describe(shard: dict[str, tuple[str, str]]) -> dict[str, Description]:
    paths = [Path(path) for _, path in shard.values()]
    return dict(zip(shard, call_in_worker(describe_files, images.read_image, paths), strict=True))


@shard_task
def look_for_covers(
    shard: dict[str, tuple[str, str, str, str]], network: str, digest: str
) -> dict[str, float]:
    faces = [
        CroppedFace(Path(path), _landmarks(landmarks, transform))
        for _, path, landmarks, transform in shard.values()
    ]
    onnx = Path(network).read_bytes()
    return dict(zip(shard, call_in_worker(covered_files, onnx, images.read_image, faces), strict=True))


def _landmarks(landmarks: str, transform: str) -> np.ndarray | None:
    return in_crop(np.array(json.loads(landmarks)), np.array(json.loads(transform))) if landmarks else None


def measure(textfree: Dataset, section: Clean, network: Path) -> pd.DataFrame:
    """A row a face: image_id, label, group_id, split and the measures that `rules.doubts` compares.

    `network`: the ONNX file of the network that looks for covers.

    Raises:
        BadCoverNetwork: it is missing or damaged.
    """
    digest = checked(network)
    faces = textfree.manifest.sort_values("image_id", ignore_index=True)
    faces = faces.assign(path=f"{textfree.root}/" + faces["file"])
    described = _describe_all(faces)
    max_bits, min_correlation = section.rules.min_copy_bits - 1, section.rules.max_copy_correlation
    copies = copies_among(textfree.fingerprint, max_bits, min_correlation, faces, described)
    groups = copies["group_id"].tolist()
    splits = assign_splits(faces.assign(group_id=groups), section.test_share, section.val_share)
    measured_before = [name for name in dict.fromkeys(rule.measure for rule in RULES) if name in faces]
    return pd.concat(
        [
            faces[["image_id", "label"]].assign(split=splits),
            faces[measured_before],
            copies,
            covered(faces, network, digest),
            doubtful_labels(textfree.fingerprint, groups, faces, described),
        ],
        axis=1,
    )


def _describe_all(faces: pd.DataFrame) -> Description:
    items = {row.image_id: (row.pixels, row.path) for row in faces.itertuples()}
    described = [description for _, description in map_items(describe, items)]
    return Description(*(np.stack(numbers) for numbers in zip(*described, strict=True)))


@cached_task
def copies_among(
    fingerprint: str, max_bits: int, min_correlation: float, faces: pd.DataFrame, described: Description
) -> pd.DataFrame:
    return find_copies(images.read_image, faces, described, max_bits, min_correlation)


def checked(network: Path) -> str:
    """The digest of the network's file, after it was seen to run."""
    fix = f"`git checkout {network}` brings the released one back, `python -m flows.covers` makes one"
    try:
        onnx = network.read_bytes()
        cover_network(onnx)
    except FileNotFoundError:
        raise BadCoverNetwork(f"there is no {network}, which looks for covered faces; {fix}") from None
    except BadCoverNetwork as error:
        raise BadCoverNetwork(f"{network}, which looks for covered faces: {error}; {fix}") from None
    return hashlib.sha256(onnx).hexdigest()


def covered(faces: pd.DataFrame, network: Path, digest: str) -> pd.Series:
    items = {row.image_id: (row.pixels, row.path, row.landmarks, row.transform) for row in faces.itertuples()}
    looked = map_items(look_for_covers, items, network=str(network), digest=digest)
    return pd.Series([probability for _, probability in looked], name="covered").round(4)


@cached_task
def doubtful_labels(
    fingerprint: str, groups: list[str], faces: pd.DataFrame, described: Description
) -> pd.DataFrame:
    labels = faces["label"].map(EXPRESSIONS.index).to_numpy()
    probabilities = label_doubts.out_of_fold(described.hog, labels, np.array(groups), map_in_workers)
    predicted = np.isfinite(probabilities).all(axis=1)
    most_likely = np.array(EXPRESSIONS)[probabilities.argmax(axis=1)]
    return pd.DataFrame(
        {
            "label_doubt": label_doubts.label_doubt(labels, probabilities).round(4),
            "suggestion": np.where(predicted, most_likely, ""),
        }
    )
