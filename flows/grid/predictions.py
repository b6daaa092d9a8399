"""Probabilities that trained cells and ensembles predict for a split, cached by content."""

import hashlib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from prefect import get_run_logger

from fer_tasks.errors import UserError
from fer_tasks.evaluation.ensemble import combine
from fer_tasks.labels import EXPRESSIONS
from fer_tasks.storage import cells
from fer_tasks.storage.dataset import Dataset, read_dataset
from fer_tasks.storage.files import read_array
from fer_tasks.training.vote_labels import labels_of
from flows.engine.code import code_digest
from flows.engine.memo_map import RESULTS
from flows.engine.own_process import call_in_own_process
from flows.engine.result_cache import MISSING, ResultCache
from flows.grid.entries import entries
from flows.grid.in_own_process import BUILD_MODEL, PREDICT_SPLIT

SHARE_OF_SPLIT = {"val": "clean.val_share", "test": "clean.test_share"}  # if the source has no such split


class PredictedSplit(NamedTuple):
    """A split to predict, and the folders of the trained cells and of the features."""

    name: str  # train, val or test
    models: Path
    features: Path
    threads: int  # of the process that computes: another number rounds differently


class CellQuery(NamedTuple):
    """A cell, and the views of a picture that its prediction averages (`test_time_augmentation.VIEWS`)."""

    cell: str
    test_time_augmentation: str = "none"


class Predictions(NamedTuple):
    """The pictures of a split and the probabilities predicted for them."""

    faces: pd.DataFrame  # rows of the features' manifest
    y_true: np.ndarray  # (n,) int, indices into EXPRESSIONS
    probabilities: np.ndarray  # (n, 7) float32

    @property
    def correct(self) -> np.ndarray:
        """(n,) bool: whether the most probable expression is the true one."""
        return self.probabilities.argmax(axis=1) == self.y_true


def predictions_of(ids: Collection[str], split: PredictedSplit) -> dict[str, Predictions]:
    """Predict with each cell and ensemble.

    Raises:
        UserError: one of them is not trained; and as `predict_cells`.
    """
    weights = {i: members_of(i, split.models) for i in ids}
    by_query = predict_cells({query for members in weights.values() for query in members}, split)
    return {
        i: mean_predictions([by_query[query] for query in members], np.array([*members.values()]))
        for i, members in weights.items()
    }


def mean_predictions(members: list[Predictions], weights: np.ndarray) -> Predictions:
    """The weighted mean of predictions for the same pictures."""
    stacked = np.stack([member.probabilities for member in members])
    return members[0]._replace(probabilities=combine(stacked, weights))


def judged(predicted: Predictions, about: dict[str, Any]) -> Predictions:
    """Predictions with the kind of labels that the network has learnt from."""
    soft, reasons = labels_of(predicted.faces, about["settings"]["labels"])
    good = reasons == ""
    return Predictions(predicted.faces[good], soft[good].argmax(axis=1), predicted.probabilities[good])


def predict_cells(queries: Collection[CellQuery], split: PredictedSplit) -> dict[CellQuery, Predictions]:
    """Predict with trained cells on the current features; whatever is not cached is computed in one process.

    Warns if a cell was trained on other features.

    Raises:
        UserError: the split is empty, a cell was trained on inputs of another shape; and as
            `shared_manifest`.
    """
    infos = {query: _read_trained(query.cell, split.models) for query in queries}
    recipes = sorted({info["settings"]["recipe"] for info in infos.values()})
    data = {recipe: read_dataset(split.features / recipe) for recipe in recipes}
    features = {query: data[info["settings"]["recipe"]] for query, info in infos.items()}
    for query in {query.cell: query for query in infos}.values():
        _check_features(infos[query], features[query])
    manifest = shared_manifest([*data.values()])
    faces = manifest[manifest["split"] == split.name]
    if faces.empty:
        raise empty_split_error(split.name)
    y_true = faces["label"].map(EXPRESSIONS.index).to_numpy()
    keys = {query: _key(query, infos[query], features[query].fingerprint, split.name) for query in infos}
    rows = np.flatnonzero(manifest["split"] == split.name)
    arrays = {query: features[query].root / "X.npy" for query in infos}
    probabilities = _cached_probabilities(keys, arrays, rows, split)
    return {query: Predictions(faces, y_true, probabilities[query]) for query in queries}


def _cached_probabilities(
    keys: dict[CellQuery, bytes], arrays: dict[CellQuery, Path], rows: np.ndarray, split: PredictedSplit
) -> dict[CellQuery, np.ndarray]:
    """The probabilities for each query, from the cache or computed; each is cached as soon as it comes."""
    code = code_digest(PREDICT_SPLIT, only={"VIEWS": []})
    # SQLite's usual journal here, `wal`, needs all processes on one machine.
    with ResultCache(RESULTS / "probabilities", code, get_run_logger().warning, "delete") as cache:
        probabilities = {query: cache.get(key) for query, key in keys.items()}
        missing = sorted(query for query, cached in probabilities.items() if cached is MISSING)

        def keep(result: tuple[int, np.ndarray]) -> None:
            query, computed = missing[result[0]], result[1]
            probabilities[query] = computed
            cache.add({keys[query]: computed})

        if missing:
            queries = [
                (split.models / query.cell, arrays[query], rows, query.test_time_augmentation)
                for query in missing
            ]
            call_in_own_process(PREDICT_SPLIT, queries, threads=split.threads, on_message=keep)
        cache.tidy(keys.values())
    get_run_logger().info(
        f"predictions on {split.name}: {len(missing)} computed, {len(keys) - len(missing)} from the cache"
    )
    return probabilities


def network_id(info: dict[str, Any]) -> str:
    """Identify what a trained network computes: its weights, and the code of its layers, which may have
    changed since it was trained."""
    return f"{cells.weights_id(info)} {code_digest(BUILD_MODEL, only=entries(info['settings']))}"


def _check_features(info: dict[str, Any], data: Dataset) -> None:
    """Refuse features of another shape than the cell was trained on; warn of other features."""
    cell, fix = info["cell"], "`dvc repro train` trains it on these"
    shape = list(read_array(data.root / "X.npy").shape[1:])
    if shape != info["input_shape"]:
        mismatch = f"{cell} was trained on inputs of shape {info['input_shape']}, {data.root} has {shape}"
        raise UserError(f"{mismatch}; {fix}")
    if info.get("features", data.fingerprint) != data.fingerprint:
        get_run_logger().warning(f"{cell} was trained on other features than {data.root} has now; {fix}")


def empty_split_error(split: str) -> UserError:
    """The error for a split (train, val or test) without pictures, with what to do about it."""
    if split == "train":
        return UserError("there is no picture in the train split; add pictures to it")
    raise_share = f"or raise {SHARE_OF_SPLIT[split]} if the source has no {split} split of its own"
    return UserError(f"there is no picture in the {split} split; add pictures, {raise_share}")


def shared_manifest(features: Sequence[Dataset]) -> pd.DataFrame:
    """The manifest that the features of several recipes share.

    Raises:
        UserError: the recipes were computed from different pictures.
    """
    first, *others = features
    for other in others:
        if not other.manifest.equals(first.manifest):
            fix = "`dvc repro --force --single-item make_features` makes them anew"
            raise UserError(f"{first.root} and {other.root} hold different pictures; {fix}")
    return first.manifest


def _read_trained(name: str, models: Path) -> dict[str, Any]:
    info = cells.read_cell(models / name)
    if not info or info["status"] != "trained":
        raise UserError(f"{name} is not trained{': ' + info['reason'] if info else ''}")
    return info


def members_of(name: str, models: Path) -> dict[CellQuery, float]:
    """The cells whose predictions make up that of a cell or an ensemble, and the weight of each.

    Raises:
        UserError: `name` is not trained.
    """
    info = _read_trained(name, models)
    if not cells.is_ensemble(info):
        return {CellQuery(name): 1.0}
    views = info["settings"]["test_time_augmentation"]
    return {CellQuery(member, views): weight for member, weight in info["weights"].items()}


def _key(query: CellQuery, info: dict[str, Any], features: str, split: str) -> bytes:
    code = code_digest(PREDICT_SPLIT, only={"VIEWS": [query.test_time_augmentation]})
    parts = (code, network_id(info), features, query.test_time_augmentation, split)
    return hashlib.sha256(repr(parts).encode()).digest()
