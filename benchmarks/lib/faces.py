"""The main faces of photos, cut as the stages cut them."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.random import Generator
from PIL import Image

from fer_tasks.faces.choose import main_face
from fer_tasks.faces.crop import cut_face, enough_for, in_crop, transform_of
from fer_tasks.faces.detector import detect_files
from fer_tasks.labels import EXPRESSIONS
from fer_tasks.recipes import transform_all
from fer_tasks.settings import load_settings
from fer_tasks.sources import folder
from fer_tasks.storage.dataset import image_id
from fer_tasks.storage.images import BadImage, decode_image, perceptual_hash, read_image


class CutFace(NamedTuple):
    """A photo's main face."""

    image_id: str  # of the photo
    photo: Path
    photo_phash: str
    image: np.ndarray  # (M, M, 3) uint8
    landmarks: np.ndarray  # (5, 2) float, (x, y) px of the image
    found: dict[str, Any]  # `main_face`


def readable(photos: Iterable[Path]) -> dict[Path, tuple[int, int]]:
    """Height and width of those photos that can be decoded."""
    shapes, most = {}, load_settings().download.max_pixels
    for path in photos:
        try:
            shapes[path] = decode_image(path.read_bytes(), most).shape[:2]
        except BadImage:
            continue
    return shapes


def listed(photos: Path) -> pd.DataFrame:
    """The pictures of a folder of class folders: path, label, source_split."""
    return folder.list_pictures(photos).pictures


def in_classes(
    faces: Path, steps: Sequence[dict[str, Any]], most: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """At most so many of the faces in a folder of class folders, in a random order: a recipe's arrays, and
    their classes, (n,) int."""
    pictures = listed(faces)
    chosen = pictures.iloc[np.random.default_rng(0).permutation(len(pictures))[:most]]
    x = transform_all([read_image(Path(path)) for path in chosen["path"]], steps)
    return x, chosen["label"].map(EXPRESSIONS.index).to_numpy()


def main_faces(shapes: dict[Path, tuple[int, int]]) -> dict[Path, dict[str, Any]]:
    """What `main_face` says of each photo, as params.yaml says; without those that have none."""
    wanted = load_settings().crop_faces
    found = detect_files(read_image, shapes, wanted.max_side, wanted.mode)
    said = {
        path: main_face(faces, shapes[path], wanted.min_score, wanted.min_face)
        for path, faces in zip(shapes, found, strict=True)
    }
    return {path: face for path, face in said.items() if "reason" not in face}


def cut(path: Path, shape: tuple[int, int], transform: np.ndarray, size: int) -> np.ndarray:
    """The crop of a photo of this height and width, read as the stage reads it."""
    return cut_face(read_image(path, enough_for(transform, *shape)), transform, shape, size)


def cut_faces(photos: Iterable[Path], size: int) -> list[CutFace]:
    """The main faces of those photos that have one, in their order; of equal files the first."""
    shapes, margin = readable(photos), load_settings().crop_faces.margin
    faces: dict[str, CutFace] = {}
    for path, found in main_faces(shapes).items():
        transform = transform_of(found, margin, size)
        image, key = cut(path, shapes[path], transform, size), image_id(path.read_bytes())
        landmarks = in_crop(np.array(json.loads(found["landmarks"])), transform)
        faces.setdefault(key, CutFace(key, path, perceptual_hash(read_image(path)), image, landmarks, found))
    return list(faces.values())


def anew(
    faces: Sequence[CutFace], make: Callable[[np.ndarray, Generator], np.ndarray], folder: Path
) -> list[CutFace | None]:
    """The faces found in photos after `make(photo, rng)`, saved as JPEG in `folder`; None where there is
    none."""
    rng, paths = np.random.default_rng(2021), [folder / f"{face.image_id}.jpg" for face in faces]
    for path, face in zip(paths, faces, strict=True):
        Image.fromarray(make(read_image(face.photo), rng)).save(path, quality=90)
    found = {face.photo: face for face in cut_faces(paths, len(faces[0].image))}
    return [found.get(path) for path in paths]
