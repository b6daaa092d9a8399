"""What clean measures on all faces together: covered faces, copies, doubtful labels; and splits by copies."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from prefect import task

from fer_tasks.cleaning import label_doubts
from fer_tasks.cleaning.covers import BadCoverNetwork, CroppedFace, cover_network, covered_files
from fer_tasks.cleaning.description import Description, describe_files
from fer_tasks.cleaning.duplicates import find_copies
from fer_tasks.cleaning.network_features import FramedFace, see_files
from fer_tasks.cleaning.rules import RULES
from fer_tasks.cleaning.split import assign_splits
from fer_tasks.faces.crop import in_crop, side_in_crop
from fer_tasks.labels import EXPRESSIONS
from fer_tasks.recipes import make_transform
from fer_tasks.settings import Clean
from fer_tasks.storage import images, model_folder
from fer_tasks.storage.dataset import Dataset
from fer_tasks.storage.model_folder import ModelFolder, read_pretrained
from flows.engine import cluster
from flows.engine.caching import same_inputs_and_code
from flows.engine.memo_map import map_items, shard_task
from flows.engine.worker_pool import call_in_worker, map_in_workers

# The faces' fingerprint identifies the content of the arrays, which would take long to hash.
cached_task = task(cache_policy=same_inputs_and_code(but=["faces", "described", "features"]))


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


@shard_task
def see(shard: dict[str, tuple[str, str, str, float]], recipe: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    faces = [FramedFace(Path(path), side) for _, _, path, side in shard.values()]
    onnx = (model_folder.PRETRAINED / model_folder.ONNX).read_bytes()
    seen = call_in_worker(see_files, images.read_image, make_transform(recipe), onnx, faces)
    return dict(zip(shard, seen, strict=True))


def _landmarks(landmarks: str, transform: str) -> np.ndarray | None:
    return in_crop(np.array(json.loads(landmarks)), np.array(json.loads(transform))) if landmarks else None


def measure(textfree: Dataset, section: Clean, covers: Path) -> pd.DataFrame:
    """A row a face: image_id, label, group_id, split and the measures that `rules.doubts` compares.

    `covers`: the ONNX file of the network that looks for covers.

    Raises:
        BadCoverNetwork: it is missing or damaged.
        BadModelFolder: the network in pretrained/ is, and `label_model` needs it.
    """
    digest = checked(covers)
    faces = textfree.manifest.sort_values("image_id", ignore_index=True)
    faces = faces.assign(path=textfree.image_paths(faces))
    network = read_pretrained("clean.label_model: hog") if section.label_model == "pretrained" else None
    described = _describe_all(faces)
    features = _see_all(faces, network) if network else described.hog
    max_bits, min_correlation = section.rules.min_copy_bits - 1, section.rules.max_copy_correlation
    copies = cluster.call(copies_among, textfree.fingerprint, max_bits, min_correlation, faces, described)
    groups, seen_by = copies["group_id"].tolist(), network and _content(network)
    doubted = cluster.call(doubtful_labels, textfree.fingerprint, seen_by, groups, faces, features)
    splits = assign_splits(faces.assign(group_id=groups), section.test_share, section.val_share)
    measured_before = [name for name in dict.fromkeys(rule.measure for rule in RULES) if name in faces]
    return pd.concat(
        [
            faces[["image_id", "label"]].assign(split=splits),
            faces[measured_before],
            copies,
            covered(faces, covers, digest),
            doubted,
        ],
        axis=1,
    )


def _describe_all(faces: pd.DataFrame) -> Description:
    items = {row.image_id: (row.pixels, row.path) for row in faces.itertuples()}
    described = [description for _, description in map_items(describe, items)]
    return Description(*(np.stack(numbers) for numbers in zip(*described, strict=True)))


def _see_all(faces: pd.DataFrame, network: ModelFolder) -> np.ndarray:
    digest, recipe, margin = _content(network)
    sides = [round(side_in_crop(face, margin), 2) for face in faces.to_dict("records")]
    columns = zip(faces["image_id"], faces["pixels"], faces["path"], sides, strict=True)
    items = {i: (pixels, digest, path, side) for i, pixels, path, side in columns}
    return np.stack([seen for _, seen in map_items(see, items, recipe=recipe)])


def _content(network: ModelFolder) -> list[Any]:
    """What decides what a network sees: its digest, its recipe and its margin."""
    return [network.info["onnx"]["sha256"], network.info["recipe"], network.info["crop"]["margin"]]


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
    fingerprint: str, network: list[Any] | None, groups: list[str], faces: pd.DataFrame, features: np.ndarray
) -> pd.DataFrame:
    labels = faces["label"].map(EXPRESSIONS.index).to_numpy()
    label_model = "pretrained" if network else "hog"
    probabilities = label_doubts.out_of_fold(features, labels, np.array(groups), label_model, map_in_workers)
    predicted = np.isfinite(probabilities).all(axis=1)
    most_likely = np.array(EXPRESSIONS)[probabilities.argmax(axis=1)]
    return pd.DataFrame(
        {
            "label_doubt": label_doubts.label_doubt(labels, probabilities).round(4),
            "suggestion": np.where(predicted, most_likely, ""),
        }
    )
