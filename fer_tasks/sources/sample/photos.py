"""Draw the sample: photos of two morphed portraits with seven expressions, some with planted defects.

It is for trying the pipeline, not for results: two people, seven drawn expressions.
"""

import io
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image
from skimage import data

from fer_tasks.labels import EXPRESSIONS
from fer_tasks.sources.sample.defects import IN_PHOTO, Placed
from fer_tasks.sources.sample.portraits import EYES, PARTS, UNIT, Look, draw_face

# The share of the photos with each fault.
FAULTS = {
    "writing": 0.06,
    "several_faces": 0.03,
    "no_face": 0.03,
    "profile": 0.04,
    "covered_eyes": 0.025,
    "covered_mouth": 0.025,
    "blurred": 0.03,
    "dark": 0.02,
    "bright": 0.02,
}
# Broken files and copies: one each in the train split of a class that is large enough.
IN_FILE = {
    "angry": ("near_copy", "half_a_file"),
    "disgust": ("near_copy", "no_picture"),
    "fear": ("near_copy", "two_labels"),
    "happy": ("near_copy", "two_labels"),
    "neutral": ("near_copy", "duplicate"),
    "sad": ("near_copy",),
    "surprise": ("near_copy",),
}
BACKGROUNDS = ("brick", "grass", "gravel", "coffee", "rocket")  # files that scikit-image ships; no faces


class Photo(NamedTuple):
    """One file of the sample, before it is drawn."""

    path: str
    fault: str  # "" for none
    key: tuple[int, ...]  # seeds its random numbers


def plan(expression: str, train: int, test: int, seed: int) -> list[Photo]:
    """The files of a class, each with its fault.

    `train`, `test`: the number of photos in each split; each photo has its own seed, derived from `seed`.
    """
    label = EXPRESSIONS.index(expression)
    photos = []
    for split, n in (("test", test), ("train", train)):
        rng = np.random.default_rng((seed, label, split == "train"))
        faults = [
            fault
            for k, (fault, share) in enumerate(FAULTS.items())
            for _ in range(_share(share * n, label + k))
        ]
        special = list(IN_FILE[expression]) if split == "train" and n > 3 else []
        faults = (special + faults)[: n // 2]
        order = rng.permutation(n)
        planted = dict(zip(order.tolist(), faults, strict=False))
        for i in range(n):
            fault = planted.get(i, "")
            suffix = ".png" if i % 9 == 4 and fault not in IN_FILE[expression] else ".jpg"
            path = f"{split}/{expression}/{expression}-{i:04}{suffix}"
            photos.append(Photo(path, fault, (seed, label, split == "train", i)))
    return photos


def draw_class(expression: str, train: int, test: int, seed: int) -> dict[str, bytes]:
    """Draw the photos of one class: {path such as "train/happy/happy-0012.jpg": the file's bytes}.

    The same arguments give the same bytes.

    Raises:
        ValueError: the expression is unknown.
    """
    photos = plan(expression, train, test, seed)
    original = next((photo for photo in photos if not photo.fault and photo.path.endswith(".jpg")), photos[0])
    return {photo.path: _file(photo, expression, original) for photo in photos}


def _file(photo: Photo, expression: str, original: Photo) -> bytes:
    """The bytes of a photo's file. `original`: a photo of the class without a fault, which copies repeat."""
    if photo.fault == "no_picture":
        return b"This is a text that somebody saved as a picture.\n" * 40
    if photo.fault == "two_labels":
        return _encode(_photo("neutral", "", (photo.key[0], 99)), ".jpg", 90)
    if photo.fault == "duplicate":
        return _draw(original, expression)
    if photo.fault == "near_copy":
        copy = np.asarray(Image.open(io.BytesIO(_draw(original, expression))).convert("RGB"))
        return _encode(cv2.resize(copy, None, fx=0.85, fy=0.85, interpolation=cv2.INTER_AREA), ".jpg", 75)
    whole = _draw(photo, expression)
    return whole[: len(whole) // 2] if photo.fault == "half_a_file" else whole


def _draw(photo: Photo, expression: str) -> bytes:
    suffix = "." + photo.path.rsplit(".")[-1]
    quality = int(np.random.default_rng((*photo.key, 1)).integers(70, 96))
    return _encode(_photo(expression, photo.fault, photo.key), suffix, quality)


def _photo(expression: str, fault: str, key: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(key)
    unit = rng.uniform(24, 58)
    width, height = (int(unit * rng.uniform(4.6, 11)) for _ in range(2))
    photo = _background(rng, height, width)
    if fault == "no_face":
        return _lit(photo, rng)
    share = 0.5 if fault == "several_faces" else rng.uniform(0.35, 0.65)
    face = (width * share, height * rng.uniform(0.36, 0.5), unit)
    if fault == "several_faces":
        face = (width * 0.28, height * 0.42, min(unit, width / 8))
        other = (width * 0.74, height * 0.42, min(unit, width / 8))
        photo = _set_in(photo, str(rng.choice(EXPRESSIONS)), other, rng, turn=0)
    turn = rng.choice([-1, 1]) * rng.uniform(0.85, 1.0) if fault == "profile" else rng.normal(0, 0.07)
    photo = _lit(_set_in(photo, expression, face, rng, turn), rng)
    return IN_PHOTO[fault](photo, face, rng) if fault in IN_PHOTO else photo


def _set_in(
    photo: np.ndarray, expression: str, face: Placed, rng: np.random.Generator, turn: float
) -> np.ndarray:
    look = Look(rng.uniform(0, 1), rng.uniform(0.9, 1.3), turn, rng.normal(0, 1.6, (len(PARTS), 2)))
    tile, head = draw_face(expression, look)
    middle, (x, y, unit) = EYES.mean(axis=0), face
    place = cv2.getRotationMatrix2D(middle.tolist(), rng.normal(0, 7), unit / UNIT)
    place[:, 0] *= rng.choice([-1, 1]) * rng.uniform(0.92, 1.08) * (0.8 if abs(turn) > 0.5 else 1)
    place[:, 2] += np.array([x, y]) - place @ [*middle, 1]
    size = photo.shape[1::-1]
    shrink = cv2.GaussianBlur(tile, (0, 0), max(0.1, 0.4 * UNIT / unit - 0.3))
    layer = cv2.warpAffine(shrink, place, size, borderMode=cv2.BORDER_REFLECT)
    mask = cv2.warpAffine(head, place, size)[:, :, None]
    return (photo * (1 - mask) + layer * mask).astype(np.uint8)


def _background(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    colours = rng.integers(30, 226, (2, 2, 3)).astype(np.float32)
    paint = cv2.resize(colours, (width, height), interpolation=cv2.INTER_LINEAR)
    texture = getattr(data, str(rng.choice(BACKGROUNDS)))()
    texture = texture if texture.ndim == 3 else np.repeat(texture[:, :, None], 3, axis=2)
    top, left = (int(rng.integers(0, side // 2)) for side in texture.shape[:2])
    texture = cv2.resize(texture[top:, left:], (width, height)).astype(np.float32)
    share = rng.uniform(0, 0.7)
    return (paint * (1 - share) + texture * share).astype(np.uint8)


def _lit(photo: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add light from one side, change exposure, contrast and colour, add a little noise."""
    light = cv2.resize(rng.uniform(0.75, 1.2, (2, 2)).astype(np.float32), photo.shape[1::-1])[:, :, None]
    tint = rng.uniform(0.88, 1.12, 3)
    lit = 128 + (photo * light * tint - 128) * rng.uniform(0.8, 1.2) + rng.normal(0, 8)
    lit = lit + rng.normal(0, rng.uniform(0, 4), photo.shape)
    if rng.random() < 0.12:
        lit = np.repeat(lit.mean(axis=2, keepdims=True), 3, axis=2)
    return lit.clip(0, 255).astype(np.uint8)


def _encode(image: np.ndarray, suffix: str, quality: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG" if suffix == ".png" else "JPEG", quality=quality)
    return buffer.getvalue()


def _share(x: float, turn: int) -> int:
    """Round `x` up or down depending on the class, so that all classes together have about 7 `x`: a small
    sample has rare faults too."""
    classes = len(EXPRESSIONS)
    return int(x + (turn % classes + 0.5) / classes)
