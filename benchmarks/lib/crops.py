"""The same faces cut narrower and wider: what a model answers, and a picture of its accuracy."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from apps.predict.on_all_cores import on_all_cores
from apps.predict.predictor import Predictor
from benchmarks.lib.faces import CutFace
from fer_tasks.faces.choose import as_face, enlarged, outline, select
from fer_tasks.faces.crop import cut_face, transform_of
from fer_tasks.faces.detector import LANDMARKS, Faces
from fer_tasks.reports.plots import BLUE, GREY, ORANGE
from fer_tasks.settings import load_settings
from fer_tasks.storage.files import write_text
from fer_tasks.storage.images import read_image
from fer_tasks.storage.model_folder import INFO, KERAS, ONNX

CROPS = (0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2)  # sides of crops, as shares of that by crop_faces.margin
STEADY = slice(1, 6)  # the crops from 0.7 to 1.1, over which accuracy is to stay

Shown = tuple[np.ndarray, Faces]  # an (M, N, 3) uint8 RGB image, and its one face


def margin_of(crop: float) -> float:
    """What `crop_faces.margin` would have to be for a crop of this size."""
    return crop * (1 + load_settings().crop_faces.margin) - 1


def with_margin(model: Path, margin: float, folder: Path) -> Predictor:
    """The predictor of a model as if it had learnt from crops of another margin. `folder`: a new one."""
    info = json.loads((model / INFO).read_text())
    info["crop"]["margin"] = margin
    folder.mkdir(parents=True)
    for name in (ONNX, KERAS):
        (folder / name).symlink_to((model / name).absolute())
    write_text(folder / INFO, json.dumps(info))
    return Predictor(folder, faces="largest")


def answers(predictors: Sequence[Predictor], shown: Iterable[Shown]) -> np.ndarray:
    """What each of k predictors says of each of n faces: (k, n, 7) probabilities."""

    def ask(face: Shown) -> list[np.ndarray]:
        return [predictor.read_faces(*face)[0] for predictor in predictors]

    return np.stack(list(on_all_cores(ask, shown)), axis=1)


def of_photos(faces: Iterable[CutFace]) -> Iterable[Shown]:
    """The photos of faces that `cut_faces` has found, read one by one."""
    for face in faces:
        box = [face.columns[f"box_{name}"] for name in ("row", "col", "height", "width")]
        points = np.array(json.loads(face.columns["landmarks"]))
        yield read_image(face.photo), Faces(np.array([box]), points[None], np.array([face.columns["score"]]))


def of_whole_faces(pictures: Sequence[np.ndarray], predictor: Predictor) -> tuple[list[Shown], float]:
    """Pictures that are faces already, enlarged, with the face that is found in each; and in which share one
    is. Where none is, a box in the middle takes its place, as large as those of the others mostly are.

    `pictures`: (M, M, 3) uint8 each, of one size.
    """
    large = list(map(enlarged, pictures))
    found = list(on_all_cores(lambda image: predictor.detect([image])[0], large))
    sides = [max(faces.boxes[0, 2:]) for faces in found if len(faces.scores)]
    if not sides:
        raise SystemExit("no face is found in FER2013's pictures")
    side, whole = float(np.median(sides)), large[0].shape[0]
    box = np.array([[(whole - side) / 2, (whole - side) / 2, side, side]])
    middle = Faces(box, np.full((1, len(LANDMARKS), 2), np.nan), np.array([np.nan]))
    faces = [select(faces, np.array([0])) if len(faces.scores) else middle for faces in found]
    return list(zip(large, faces, strict=True)), len(sides) / len(pictures)


def cut(shown: Iterable[Shown], crop: float | None, size: int) -> np.ndarray:
    """The faces cut so, or the whole images where `crop` is None: (n, size, size, 3) uint8."""
    cuts = []
    for image, faces in shown:
        chosen, margin = (as_face(image.shape), 0.0) if crop is None else (faces, margin_of(crop))
        cuts.append(cut_face(image, transform_of(outline(chosen, 0), margin, size), image.shape[:2], size))
    return np.stack(cuts)


def spread(accuracies: Sequence[float]) -> float:
    """By how many points accuracies at CROPS differ from 0.7 to 1.1."""
    steady = np.array(accuracies)[STEADY]
    return float(100 * (steady.max() - steady.min()))


def draw(curves: dict[str, Sequence[float]], own: float, file: Path) -> None:
    """Draw accuracies at CROPS by the name of their faces; `own` is the model's own crop."""
    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    ax = figure.subplots()
    ax.axvspan(CROPS[STEADY][0], CROPS[STEADY][-1], color=GREY, alpha=0.15, lw=0)
    for (name, accuracies), colour in zip(curves.items(), (BLUE, ORANGE, GREY), strict=False):
        ax.plot(CROPS, 100 * np.array(accuracies), "-o", ms=4, color=colour, label=name)
    ax.axvline(own, color="black", ls=":", lw=1, label="the crop of model.json")
    ax.set_xlabel("side of the crop, of that by crop_faces.margin")
    ax.set_ylabel("accuracy, %")
    ax.grid(axis="y", color="#e3e6ea")
    ax.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=2, fontsize=9, frameon=False)
    figure.savefig(file, dpi=110)
