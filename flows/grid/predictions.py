"""What trained cells and ensembles say of a split: computed once, and remembered by content."""

import hashlib
import logging
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pandas as pd
from prefect import get_run_logger

from fer_tasks.errors import UserError
from fer_tasks.evaluation.ensemble import combine
from fer_tasks.labels import EXPRESSIONS
from fer_tasks.models import build_model, load_model
from fer_tasks.storage import cells
from fer_tasks.storage.dataset import Dataset, read_dataset
from fer_tasks.storage.files import read_array
from fer_tasks.training.feeding import Rows
from fer_tasks.training.fit import predict
from flows.engine.code import code_digest
from flows.engine.memo_map import RESULTS
from flows.engine.own_process import call_in_own_process
from flows.engine.result_cache import MISSING, ResultCache
from flows.grid.entries import entries

BLOCK = 1024  # pictures in memory at once
DRAWN_BY = {"val": "clean.val_share", "test": "clean.test_share"}  # where the source has no such split


class Split(NamedTuple):
    """Which pictures are asked about, and where they and the trained cells are."""

    name: str  # train, val or test
    models: Path
    features: Path
    threads: int  # of the process that computes: another number rounds otherwise


class Asked(NamedTuple):
    """A cell, and the views of a picture that its answer is the mean of (`training.views`)."""

    cell: str
    test_time_augmentation: str = "none"


class Answers(NamedTuple):
    """The pictures of a split, and what is said of them."""

    faces: pd.DataFrame  # rows of the features' manifest
    y_true: np.ndarray  # (n,) int, indices into EXPRESSIONS
    probabilities: np.ndarray  # (n, 7) float32

    @property
    def right(self) -> np.ndarray:
        """(n,) bool: which pictures are named right."""
        return self.probabilities.argmax(axis=1) == self.y_true


def answers(ids: Collection[str], split: Split) -> dict[str, Answers]:
    """What each cell and each ensemble says. Raises UserError for one that is not trained, and as `ask`."""
    weights = {i: members_of(i, split.models) for i in ids}
    said = ask({one for members in weights.values() for one in members}, split)
    return {i: mean_answer([said[one] for one in of], np.array([*of.values()])) for i, of in weights.items()}


def mean_answer(members: list[Answers], weights: np.ndarray) -> Answers:
    """The weighted mean of what is said of the same pictures."""
    stacked = np.stack([member.probabilities for member in members])
    return members[0]._replace(probabilities=combine(stacked, weights))


def ask(asked: Collection[Asked], split: Split) -> dict[Asked, Answers]:
    """What trained cells say of the features as they are; what is not known yet is computed in one process.

    Raises UserError for a split without pictures, for features of another shape than a cell was trained on,
    and as `shared_manifest`. Warns of other features than a cell was trained on.
    """
    abouts = {one: _read(one.cell, split.models) for one in asked}
    recipes = sorted({about["settings"]["recipe"] for about in abouts.values()})
    data = {recipe: read_dataset(split.features / recipe) for recipe in recipes}
    features = {one: data[about["settings"]["recipe"]] for one, about in abouts.items()}
    for one in {one.cell: one for one in abouts}.values():
        _compare(abouts[one], features[one])
    manifest = shared_manifest([*data.values()])
    faces = manifest[manifest["split"] == split.name]
    if faces.empty:
        raise empty_split(split.name)
    y_true = faces["label"].map(EXPRESSIONS.index).to_numpy()
    keys = {one: _key(one, abouts[one], features[one].fingerprint, split.name) for one in abouts}
    code = code_digest(predict_split, only={"VIEWS": []})
    # SQLite's usual journal here, `wal`, wants all processes on one machine.
    with ResultCache(RESULTS / "probabilities", code, get_run_logger().warning, "delete") as known:
        said = {one: known.get(keys[one]) for one in asked}
        missing = sorted(one for one in asked if said[one] is MISSING)

        def keep(answer: tuple[Asked, np.ndarray]) -> None:
            said.update([answer])
            known.add({keys[answer[0]]: answer[1]})

        _compute(missing, split, keep)
        known.tidy(keys.values())
    reused = len(asked) - len(missing)
    get_run_logger().info(f"answers on {split.name}: {len(missing)} computed, {reused} reused")
    return {one: Answers(faces, y_true, said[one]) for one in asked}


def network_id(about: dict[str, Any]) -> str:
    """What a trained network computes with: its weights, and the code of its layers, which may have changed
    since it was trained."""
    return f"{cells.weights_id(about)} {code_digest(build_model, only=entries(about['settings']))}"


def _compare(about: dict[str, Any], data: Dataset) -> None:
    """Are the features those that a cell was trained on?"""
    cell, mend = about["cell"], "`dvc repro train` trains it on these"
    shape = list(read_array(data.root / "X.npy").shape[1:])
    if shape != about["input_shape"]:
        wrong = f"{cell} was trained on inputs of shape {about['input_shape']}, {data.root} has {shape}"
        raise UserError(f"{wrong}; {mend}")
    if about.get("features", data.fingerprint) != data.fingerprint:
        get_run_logger().warning(f"{cell} was trained on other features than {data.root} has now; {mend}")


def empty_split(split: str) -> UserError:
    """What to tell the user of a split, train, val or test, that has no picture."""
    if split == "train":
        return UserError("there is no picture in the train split; add pictures to it")
    raised = f"or raise {DRAWN_BY[split]} where the source has no {split} split of its own"
    return UserError(f"there is no picture in the {split} split; add pictures, {raised}")


def shared_manifest(features: Sequence[Dataset]) -> pd.DataFrame:
    """The manifest that the features of several recipes share. Raises UserError where they do not."""
    first, *others = features
    for other in others:
        if not other.manifest.equals(first.manifest):
            mend = "`dvc repro --force --single-item make_features` makes them anew"
            raise UserError(f"{first.root} and {other.root} hold other pictures; {mend}")
    return first.manifest


def _compute(asked: list[Asked], split: Split, keep: Callable[[tuple[Asked, np.ndarray]], Any]) -> None:
    if asked:
        call_in_own_process(predict_split, asked, split, threads=split.threads, on_message=keep)


def predict_split(asked: list[Asked], split: Split, send: Callable[[Any], None]) -> None:
    """What the process does: sends each cell's answers as soon as they are made."""
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it warns of a trace a model, which must be
    for one in asked:
        send((one, _predict(one, split)))


def _predict(asked: Asked, split: Split) -> np.ndarray:
    folder = split.features / _read(asked.cell, split.models)["settings"]["recipe"]
    rows = np.flatnonzero(read_dataset(folder).manifest["split"] == split.name)
    x = Rows(read_array(folder / "X.npy"), rows)
    keras.utils.clear_session()
    model = _load(split.models / asked.cell)
    blocks = np.split(np.arange(len(x)), range(BLOCK, len(x), BLOCK))
    said = [predict(model, x[b], test_time_augmentation=asked.test_time_augmentation) for b in blocks]
    return np.concatenate(said)


def _load(folder: Path) -> keras.Model:
    try:
        return load_model(folder / "model.keras")
    except (OSError, ValueError, KeyError) as error:
        mend = f"remove {folder}, and `dvc repro --force --single-item train` trains it again"
        raise UserError(f"{folder / 'model.keras'} cannot be read ({error}); {mend}") from None


def _read(name: str, models: Path) -> dict[str, Any]:
    about = cells.read_cell(models / name)
    if not about or about["status"] != "trained":
        raise UserError(f"{name} is not trained{': ' + about['reason'] if about else ''}")
    return about


def members_of(name: str, models: Path) -> dict[Asked, float]:
    """The cells whose answers make up that of a cell or an ensemble, and the weight of each."""
    about = _read(name, models)
    if not cells.is_ensemble(about):
        return {Asked(name): 1.0}
    views = about["settings"]["test_time_augmentation"]
    return {Asked(member, views): weight for member, weight in about["weights"].items()}


def _key(asked: Asked, about: dict[str, Any], features: str, split: str) -> bytes:
    code = code_digest(predict_split, only={"VIEWS": [asked.test_time_augmentation]})
    parts = (code, network_id(about), features, asked.test_time_augmentation, split)
    return hashlib.sha256(repr(parts).encode()).digest()
