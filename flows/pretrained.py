"""`make pretrained SOURCE=…`: train the network to begin from on FER2013 with FER+'s votes; it goes to
pretrained/, which git holds."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fer_tasks.errors import UserError
from fer_tasks.faces.choose import choose_face
from fer_tasks.faces.detector import detect_faces
from fer_tasks.reports.pretrained_card import render_card
from fer_tasks.settings import load_settings
from fer_tasks.storage.dataset import image_files, read_dataset
from fer_tasks.storage.files import write_bytes, write_text
from fer_tasks.storage.images import read_image
from fer_tasks.storage.model_folder import INFO, KERAS, ONNX, read_model_folder
from fer_tasks.training.vote_labels import has_votes
from flows import fer2013
from flows.command import ready_for_prefect

PRETRAINED = Path("pretrained")
CARD = "CARD.md"
GRID = "pretrained"
MEASURED = 600  # training pictures whose framing is measured
TIMES = 4  # what they are enlarged to before faces are searched in them


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
    """Copy the best model to `target`, with the crop of photos that suits it, and a card.

    FER2013's pictures are faces already, so the crop is the one that frames a face found in a photo as those
    pictures frame theirs.

    Raises:
        BadModelFolder: `best` is no model that can be used.
        UserError: it is another cell, or `clean` has no votes, or no face that MTCNN finds.
    """
    info = read_model_folder(best).info
    if info["name"] != GRID:
        raise UserError(f"{best} is {info['name']}, not the cell {GRID} of grids/{GRID}.yaml")
    data = read_dataset(clean)
    if not has_votes(data.manifest):
        raise UserError(f"{clean} has no votes: put FER+'s table beside the pictures of the source")
    learnt = data.manifest[data.manifest["split"] == "train"].sort_values("image_id")
    files = image_files(learnt.iloc[:: max(1, len(learnt) // MEASURED)], data.root)
    section = load_settings().crop_faces.model_copy(update={"mode": "fast", "size": 96})
    crop = {**section.model_dump(), "margin": framing(read_image(Path(path)) for _, path in files.values())}
    for name in (KERAS, ONNX):
        write_bytes(target / name, (best / name).read_bytes())
    kept: dict[str, Any] = {**info, "crop": crop}
    write_text(target / INFO, json.dumps(kept, indent=2, allow_nan=False) + "\n")
    write_text(target / CARD, render_card(kept))


def framing(faces: Iterable[np.ndarray]) -> float:
    """The median margin of pictures of faces: what `crop_faces.margin` would have to be to cut them so.

    `faces`: (M, N, 3) uint8 RGB. Those in which MTCNN finds no face do not count.

    Raises:
        UserError: it finds none at all.
    """
    enlarged = [cv2.resize(face, None, fx=TIMES, fy=TIMES, interpolation=cv2.INTER_CUBIC) for face in faces]
    margins = []
    for picture, found in zip(enlarged, detect_faces(enlarged, max(enlarged[0].shape)), strict=True):
        if len(found.scores):
            _, _, height, width = found.boxes[choose_face(found, picture.shape)]
            margins.append(max(picture.shape[:2]) / max(height, width) - 1)
    if not margins:
        raise UserError("no face is found in the pictures that the network has learnt from")
    return round(float(np.median(margins)), 2)


if __name__ == "__main__":
    with ready_for_prefect():
        sys.exit(run(os.environ.get("SOURCE", "")))
