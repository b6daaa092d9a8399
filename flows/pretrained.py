"""`make pretrained SOURCE=…`: train the network to begin from on FER2013 with FER+'s votes; it goes to
pretrained/, which git holds."""

import hashlib
import io
import json
import os
import platform
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fer_tasks.errors import UserError
from fer_tasks.reports.pretrained_card import render_card
from fer_tasks.settings import load_settings
from fer_tasks.sources.names import counted
from fer_tasks.storage.cells import read_cell
from fer_tasks.storage.dataset import Dataset, image_files, read_dataset
from fer_tasks.storage.files import write_bytes, write_text
from fer_tasks.storage.images import read_image
from fer_tasks.storage.model_folder import INFO, KERAS, ONNX, PRETRAINED, ModelFolder, read_model_folder
from fer_tasks.training.vote_labels import has_votes, labels_of
from flows import fer2013
from flows.asking import asking
from flows.command import ready_for_prefect
from flows.pretrained_figures import by_expression, find_faces, over_crops

CARD = "CARD.md"
GRID = "pretrained"
MEASURED = 600  # training pictures whose framing is measured


def run(source: str) -> int:
    """Train the network and write its folder; returns the exit status of the training.

    Raises:
        UserError: no source is named, it does not exist, or it has no votes.
    """
    status = fer2013.run(source, GRID)
    if status == 0:
        release(Path("models/best"), Path("data/clean"), PRETRAINED)
        status = subprocess.run([sys.executable, "-m", "flows.covers"]).returncode
    return status


def release(best: Path, clean: Path, target: Path) -> None:
    """Copy the best model to `target`, with the crop of photos that suits it, figures of the test split and a
    card.

    FER2013's pictures are faces already, so the crop is the one that frames a face found in a photo as those
    pictures frame theirs.

    Raises:
        BadModelFolder: `best` is no model that can be used.
        UserError: it is another cell, or `clean` has no votes, or no face that MTCNN finds.
    """
    onnx, info = read_model_folder(best)
    if info["name"] != GRID:
        raise UserError(f"{best} is {info['name']}, not the cell {GRID} of grids/{GRID}.yaml")
    data, settings = read_dataset(clean), load_settings()
    if not has_votes(data.manifest):
        raise UserError(f"{clean} has no votes: put FER+'s table beside the pictures of the source")
    _, reasons = labels_of(data.manifest, "votes")
    counts = data.manifest["split"][reasons == ""].value_counts().to_dict()
    learnt = data.manifest[data.manifest["split"] == "train"].sort_values("image_id")
    margin = framing(_pictures(data, learnt.iloc[:: max(1, len(learnt) // MEASURED)]))
    crop = settings.crop_faces.model_copy(update={"mode": "fast", "size": 96, "margin": margin}).model_dump()
    keras = deflated((best / KERAS).read_bytes())
    info = {**info, "crop": crop, "keras": {"sha256": hashlib.sha256(keras).hexdigest()}}
    info["figures"]["test"] |= _test_figures(data, onnx, info, settings.crop_faces.margin)
    write_bytes(target / KERAS, keras)
    write_bytes(target / ONNX, onnx)
    write_text(target / INFO, json.dumps(info, indent=2, allow_nan=False) + "\n")
    machine = f"{counted(settings.train.threads, 'thread')} of {_processor()}"
    card = render_card(info, read_cell(best), counts, settings.crop_faces.margin, machine)
    write_text(target / CARD, card)


def _test_figures(data: Dataset, onnx: bytes, info: dict[str, Any], margin: float) -> dict[str, Any]:
    """What model.json adds about the test split, by the votes: `by_expression` and `over_crops`."""
    test = data.manifest[data.manifest["split"] == "test"]
    soft, reasons = labels_of(test, "votes")
    y_true, judged = soft[reasons == ""].argmax(axis=1), test[reasons == ""]
    pictures, ask = list(_pictures(data, judged)), asking(ModelFolder(onnx, info))
    return {
        "by_expression": by_expression(y_true, ask(pictures), info["prior"]),
        "over_crops": over_crops(pictures, y_true, margin, ask),
    }


def _pictures(data: Dataset, faces: pd.DataFrame) -> Iterator[np.ndarray]:
    return (read_image(Path(path)) for _, path in image_files(data, faces).values())


def _processor() -> str:
    """What this machine computes with, such as AMD EPYC 9B14."""
    about = Path("/proc/cpuinfo")
    lines = about.read_text().splitlines() if about.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def deflated(keras: bytes) -> bytes:
    """A .keras file compressed: Keras reads it, but writes it without compression."""
    smaller = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(keras)) as stored, zipfile.ZipFile(smaller, "w") as compressed:
        for name in stored.namelist():
            compressed.writestr(zipfile.ZipInfo(name), stored.read(name), zipfile.ZIP_DEFLATED, 9)
    return smaller.getvalue()


def framing(faces: Iterable[np.ndarray]) -> float:
    """The median margin of pictures of faces: what `crop_faces.margin` would have to be to cut them so.

    `faces`: (M, N, 3) uint8 RGB. Those in which MTCNN finds no face do not count.

    Raises:
        UserError: it finds none at all.
    """
    margins = [
        max(picture.shape[:2]) / max(face["box_height"], face["box_width"]) - 1
        for picture, face in find_faces(faces)
        if face
    ]
    if not margins:
        raise UserError("no face is found in the pictures that the network has learnt from")
    return round(float(np.median(margins)), 2)


if __name__ == "__main__":
    with ready_for_prefect():
        sys.exit(run(os.environ.get("SOURCE", "")))
