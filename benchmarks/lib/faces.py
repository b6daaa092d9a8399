"""Detect and cut the main faces of photos as the stages do."""

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
from fer_tasks.sources.kaggle.unzip import unpack
from fer_tasks.storage.dataset import image_id
from fer_tasks.storage.images import BadImage, decode_image, perceptual_hash, read_image


class CutFace(NamedTuple):
    """A photo's main face."""

    image_id: str  # of the photo
    photo: Path
    photo_phash: str
    image: np.ndarray  # (M, M, 3) uint8
    landmarks: np.ndarray  # (5, 2) float, (x, y) px of the image
    columns: dict[str, Any]  # of `main_face`


def readable(photos: Iterable[Path]) -> dict[Path, tuple[int, int]]:
    """Height and width of the photos that can be decoded."""
    shapes, max_pixels = {}, load_settings().download.max_pixels
    for path in photos:
        try:
            shapes[path] = decode_image(path.read_bytes(), max_pixels).shape[:2]
        except BadImage:
            continue
    return shapes


def listed(photos: Path) -> pd.DataFrame:
    """The pictures of a folder of class folders: path, label, source_split."""
    return folder.list_pictures(photos).pictures


def unzipped(source: Path, work: Path) -> Path:
    """A folder of class folders; a zip of them is unpacked in `work`."""
    if source.suffix != ".zip":
        return source
    unpack(source, work / "unpacked", max_bytes=2**33)
    return work / "unpacked"


def in_classes(
    faces: Path, steps: Sequence[dict[str, Any]], most: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The faces in a folder of class folders, in random order and at most `most`: their arrays by the
    recipe's steps, and their classes, (n,) int."""
    pictures = listed(faces)
    chosen = pictures.iloc[np.random.default_rng(0).permutation(len(pictures))[:most]]
    x = transform_all([read_image(Path(path)) for path in chosen["path"]], steps)
    return x, chosen["label"].map(EXPRESSIONS.index).to_numpy()


def main_faces(shapes: dict[Path, tuple[int, int]]) -> dict[Path, dict[str, Any]]:
    """`main_face` of each photo that has one, by the settings of params.yaml."""
    settings = load_settings().crop_faces
    detected = detect_files(read_image, shapes, settings.max_side, settings.mode)
    main = {
        path: main_face(faces, shapes[path], settings.min_score, settings.min_face)
        for path, faces in zip(shapes, detected, strict=True)
    }
    return {path: face for path, face in main.items() if "reason" not in face}


def cut(path: Path, shape: tuple[int, int], transform: np.ndarray, size: int) -> np.ndarray:
    """Cut the face out of a photo of this height and width, read as the stage reads it."""
    return cut_face(read_image(path, enough_for(transform, *shape)), transform, shape, size)


def cut_faces(photos: Iterable[Path], size: int) -> list[CutFace]:
    """The main faces of the photos that have one, in order; of equal files the first."""
    shapes, margin = readable(photos), load_settings().crop_faces.margin
    faces: dict[str, CutFace] = {}
    for path, columns in main_faces(shapes).items():
        transform = transform_of(columns, margin, size)
        image, key = cut(path, shapes[path], transform, size), image_id(path.read_bytes())
        landmarks = in_crop(np.array(json.loads(columns["landmarks"])), transform)
        face = CutFace(key, path, perceptual_hash(read_image(path)), image, landmarks, columns)
        faces.setdefault(key, face)
    return list(faces.values())


def detect_again(
    faces: Sequence[CutFace], make: Callable[[np.ndarray, Generator], np.ndarray], folder: Path
) -> list[CutFace | None]:
    """Change the faces' photos by `make(photo, rng)`, save them as JPEG in `folder`, and detect their faces
    again; None for a photo without a face."""
    rng, paths = np.random.default_rng(2021), [folder / f"{face.image_id}.jpg" for face in faces]
    for path, face in zip(paths, faces, strict=True):
        Image.fromarray(make(read_image(face.photo), rng)).save(path, quality=90)
    by_photo = {face.photo: face for face in cut_faces(paths, len(faces[0].image))}
    return [by_photo.get(path) for path in paths]
