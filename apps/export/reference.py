"""What an export is compared with: faces, and what `monday-fer predict` answers for them."""

from collections.abc import Iterable, Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from apps.predict.pictures import Picture, UnreadablePicture, of_array, open_picture
from apps.predict.predictor import Predictor
from apps.predict.sources import list_items
from fer_tasks.errors import UserError
from fer_tasks.labels import EXPRESSIONS
from fer_tasks.recipes import make_transform
from fer_tasks.sources.names import shown
from fer_tasks.storage.dataset import read_dataset

CLEAN = Path("data/clean")  # of the project that the command runs in
FACES = 100  # at most
DRAWN = 6  # faces of each expression


class Reference(NamedTuple):
    """n > 0 faces and the answers for them."""

    origin: str  # where the faces come from
    crops: np.ndarray  # (n, size, size, 3) uint8 RGB
    inputs: np.ndarray  # (n, M, N, C) float32: what the recipe makes of them
    answers: np.ndarray  # (n, 7) float64: the final probabilities


def read_reference(model: Path, faces: Path | None) -> Reference:
    """The answers of a model for the faces of a folder of photos; without one, of the project's test split
    where it has one, else for drawn faces.

    Raises:
        UserError: the folder has no face, or the model cannot be used.
    """
    if faces:
        origin, pictures = f"photos of {faces.name}", _photos(faces)
    elif (CLEAN / "dataset.json").exists():
        origin, pictures = f"the test split of {CLEAN}", _test_faces()
    else:
        origin, pictures = "drawn faces: the project has no data, and no --faces was given", _drawn_faces()
    predictor = Predictor(model, faces="largest", whole=faces is None)
    found = islice(_answers(predictor, pictures), FACES)
    crops, answers = map(list, zip(*found, strict=True)) if (found := [*found]) else ([], [])
    if not crops:
        raise UserError(f"there is no face in {origin}; name a folder with --faces")
    transform = make_transform(predictor.info["recipe"])
    inputs = np.stack([transform(crop).astype(np.float32) for crop in crops])
    return Reference(origin, np.stack(crops), inputs, np.array(answers))


def _answers(predictor: Predictor, pictures: Iterable[Picture]) -> Iterator[tuple[np.ndarray, list[float]]]:
    """Each face's crop and probabilities; pictures without a face and damaged ones are left out."""
    for picture in pictures:
        try:
            rows, crops = predictor.answer_with_crops(picture)
        except UnreadablePicture:
            continue
        for row, crop in zip(rows, crops, strict=False):  # of no face there is a row, too
            yield crop, [getattr(row, name) for name in EXPRESSIONS]


def _photos(folder: Path) -> Iterator[Picture]:
    for item in list_items([str(folder)]):
        if item.kind == "picture":
            try:
                yield open_picture(Path(item.name), bgr=False, name=shown(item.name))
            except UnreadablePicture:
                continue


def _test_faces() -> Iterator[Picture]:
    clean = read_dataset(CLEAN)
    paths = clean.image_paths(clean.manifest[clean.manifest["split"] == "test"])
    spread = np.linspace(0, len(paths) - 1, min(FACES, len(paths))).astype(int)
    return (open_picture(Path(path), bgr=False, name=path) for path in paths.iloc[spread])


@cache
def _drawn_faces() -> list[Picture]:
    from fer_tasks.sources.sample.portraits import PARTS, Look, draw_face  # here: it takes time to import

    random, pictures = np.random.default_rng(2021), []
    for expression in EXPRESSIONS:
        for _ in range(DRAWN):
            wobble = random.normal(0, 2, (len(PARTS), 2))
            look = Look(random.random(), random.uniform(0.5, 1), random.normal(0, 0.1), wobble)
            face = draw_face(expression, look)[0].astype(float)
            lit = np.clip(face * random.uniform(0.5, 1.3), 0, 255).astype(np.uint8)
            pictures.append(of_array(cv2.resize(lit, (240, 240), interpolation=cv2.INTER_AREA), ""))
    return pictures
