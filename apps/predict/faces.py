"""Find, choose and cut faces by the functions that cut the faces a model was trained on."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from apps.predict.pictures import Picture
from fer_tasks.faces.choose import choose_face, outline, select, shorter_sides
from fer_tasks.faces.crop import cut_face, enough_to_cut, transform_of
from fer_tasks.faces.detector import Faces, detect_files
from fer_tasks.faces.signals import areas

Which = Literal["all", "largest"]
BLUER = 1.15  # mean blue of faces over their mean red: 1 of 498 photos has more, in BGR 98 % do


def find(pictures: Sequence[Picture], crop: dict[str, Any], which: Which) -> list[Faces]:
    """The faces of each picture, the largest first, in px of the picture.

    `crop`: the settings of `crop_faces` that the model was trained with. A model of pictures that were faces
    already was trained without a search: faces are then searched as by `mode: fast`.
    """
    mode = "fast" if crop["mode"] == "whole" else crop["mode"]
    shapes = {i: picture.shape for i, picture in enumerate(pictures)}
    found = detect_files(lambda i, enough: pictures[i].read(enough), shapes, crop["max_side"], mode)
    return [choose(faces, shapes[i], crop, which) for i, faces in enumerate(found)]


def choose(faces: Faces, shape: tuple[int, int], crop: dict[str, Any], which: Which) -> Faces:
    """The faces that training would have taken, the largest first; or the one that it would have chosen."""
    good = select(faces, faces.scores >= crop["min_score"])
    if which == "largest" and len(good.scores):
        good = select(good, np.array([choose_face(good, shape)]))
    good = select(good, shorter_sides(good) >= crop["min_face"])
    return select(good, np.argsort(-areas(good.boxes), kind="stable"))


def cut(picture: Picture, faces: Faces, chosen: int, margin: float, size: int) -> np.ndarray:
    """The crop of a face: (size, size, 3) uint8 RGB."""
    face = outline(faces, chosen)
    copy = picture.read(enough_to_cut(face, margin, size, *picture.shape))
    return cut_face(copy, transform_of(face, margin, size), picture.shape, size)


def is_bgr(image: np.ndarray, faces: Faces) -> bool:
    """Whether the middles of an image's n > 0 faces are bluer than skin is: red and blue are exchanged."""
    means = []
    for row, column, height, width in faces.boxes:
        top, left = int(row + height / 4), int(column + width / 4)
        middle = image[top : top + int(height / 2) + 1 : 4, left : left + int(width / 2) + 1 : 4]
        means.append(middle.mean(axis=(0, 1)))
    red, _, blue = np.mean(means, axis=0)
    return bool(blue > BLUER * red)
