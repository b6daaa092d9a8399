"""Released models, and what they answer for the test faces of a build."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
from onnxruntime import InferenceSession

from fer_tasks.errors import UserError
from fer_tasks.evaluation.calibration import calibrated
from fer_tasks.faces.crop import cut_face, enough_to_cut, transform_of
from fer_tasks.recipes import make_transform, transform_all
from fer_tasks.storage import images
from fer_tasks.storage.dataset import read_dataset, read_info
from fer_tasks.storage.files import read_table
from fer_tasks.storage.model_folder import ONNX, BadModelFolder, ModelFolder, read_model_folder
from flows.fetch_release import CLEAN, fetch_release
from flows.registry import Release

RAW, FACES = Path("data/raw"), Path("data/faces")
BATCH = 64
TIMED = 50  # calls
Ask = Callable[[Sequence[np.ndarray]], np.ndarray]  # (M, M, 3) uint8 RGB each -> (n, 7) probabilities


class Unusable(UserError):
    """A released model cannot be asked."""


def fetch(release: Release) -> tuple[ModelFolder, pd.DataFrame]:
    """A released model, and the manifest of what it learnt: from DVC's cache, or else from its remote.

    Raises:
        Unusable: they are gone, or this version of the program cannot use the model.
    """
    with TemporaryDirectory(prefix="gate-") as folder:
        try:
            paths = fetch_release(release.commit, Path(folder))
            model, learnt = read_model_folder(paths[0]), read_table(paths[1])
            _open(model)
            make_transform(model.info["recipe"])
        except UserError as error:
            reason = str(error).replace(f"{folder}/", "")
            raise Unusable(f"{release.version} cannot be asked: {reason}") from None
    return model, learnt


def _open(model: ModelFolder) -> InferenceSession:
    """Raises BadModelFolder if the network cannot be run."""
    try:
        return InferenceSession(model.onnx, providers=["CPUExecutionProvider"])
    except Exception as error:  # its own classes have no other base
        reason = str(error).strip().splitlines()[0]
        raise BadModelFolder(f"its {ONNX} cannot be run: {reason}") from None


def asking(model: ModelFolder) -> Ask:
    """A function that asks a model about crops of one size. Raises BadModelFolder: it cannot be run."""
    session, info = _open(model), model.info

    def ask(faces: Sequence[np.ndarray]) -> np.ndarray:
        x = transform_all(faces, info["recipe"]).astype(np.float32)
        entry, starts = session.get_inputs()[0].name, range(0, len(x), BATCH)
        blocks = [session.run(None, {entry: x[at : at + BATCH]})[0] for at in starts]
        return calibrated(np.concatenate(blocks), info["temperature"], info["prior"])

    return ask


def predict(model: ModelFolder, faces: pd.DataFrame) -> np.ndarray:
    """(n,) int, indices into EXPRESSIONS: what a model answers for faces, rows of today's manifest, cut and
    transformed as it has learnt them."""
    ask, crops = asking(model), _crops(faces, model.info["crop"])
    answers = np.empty(len(faces), int)
    for at in range(0, len(faces), BATCH):
        answers[at : at + BATCH] = ask([*islice(crops, BATCH)]).argmax(axis=1)
    return answers


def _crops(faces: pd.DataFrame, crop: Mapping[str, Any]) -> Iterator[np.ndarray]:
    """The faces as a model's settings of crop_faces cut them: (M, M, 3) uint8 RGB each."""
    today = read_info(FACES)["settings"]
    if all(crop[name] == today[name] for name in ("margin", "size")):
        yield from (images.read_image(Path(path)) for path in read_dataset(CLEAN).image_paths(faces))
        return
    raw = read_dataset(RAW)
    photos = dict(zip(raw.manifest["image_id"], raw.image_paths(), strict=True))
    margin = 0.0 if today["mode"] == "whole" else crop["margin"]
    for face in faces.to_dict("records"):
        shape = (face["height"], face["width"])
        enough = enough_to_cut(face, margin, crop["size"], *shape)
        photo = images.read_image(Path(photos[face["parent_id"]]), enough)
        yield cut_face(photo, transform_of(face, margin, crop["size"]), shape, crop["size"])


def milliseconds(model: ModelFolder) -> float:
    """The median time of a model's network for one face, on all cores."""
    session = _open(model)
    x = np.zeros((1, *model.info["input"]["shape"]), np.float32)
    spent = []
    for _ in range(TIMED):
        began = perf_counter()
        session.run(None, {session.get_inputs()[0].name: x})
        spent.append(1000 * (perf_counter() - began))
    return median(spent)
