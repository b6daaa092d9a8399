"""Teach the network of `covers` what covered eyes and mouths look like, by covers drawn on open faces.

Some of the faces are covered already. Half-way through, the network looks at them as they are: those that
it is sure of become examples of covered ones, and those that it doubts no example at all (self-training,
Yarowsky 1995).
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import keras
import numpy as np
from numpy.random import Generator

from fer_tasks.cleaning import covers
from fer_tasks.cleaning.planting import plant

BATCH = 128
EPOCHS = (3, 6)  # before and after the network has looked at the faces as they are
SURE, DOUBTED = 0.7, 0.15  # probabilities of being covered
OFTENER = 10  # how much oftener a face is shown that is covered already
COVERED, OPEN = 0.6, 0.25  # share of a region from which on it is covered, up to which it is open
IGNORED = -1.0  # the target of what is neither covered nor open


class Examples(NamedTuple):
    """Aligned faces and what to learn of them."""

    faces: np.ndarray  # (n, SIDE, SIDE) uint8
    targets: np.ndarray  # (n, 2) float32: are eyes, is the mouth covered; 0, 1 or IGNORED


def network() -> keras.Model:
    """(n, SIDE, SIDE, 1) float32 of `covers.standardised` -> (n, 2) float32: eyes, mouth covered, 0..1."""
    x = inputs = keras.Input((covers.SIDE, covers.SIDE, 1))
    for channels, kernel, stride in ((8, 5, 2), (20, 3, 2), (28, 3, 2), (36, 3, 1)):
        x = keras.layers.Conv2D(channels, kernel, stride, "same", use_bias=False)(x)
        x = keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.9)(x))
    x = keras.layers.Conv2D(12, 1, activation="relu")(x)
    x = keras.layers.Dropout(0.2)(keras.layers.Flatten()(x))
    return keras.Model(inputs, keras.layers.Dense(2, "sigmoid")(x))


def plant_all(faces: np.ndarray, photos: Sequence[np.ndarray], seed: int) -> Examples:
    """Every face with covers of its own, or without.

    `faces`: (n, 2 SIDE, 2 SIDE) uint8, `covers.align`. `photos`: (M, N) uint8 grey, to cut things out of.
    """
    rng = np.random.default_rng(seed)
    small, targets = np.empty((len(faces), covers.SIDE, covers.SIDE), np.uint8), []
    for k, face in enumerate(faces):
        others = [*photos, *faces[rng.integers(len(faces), size=3)]]
        planted, opacity = plant(face, others, rng)
        small[k] = shrunk(planted)
        targets.append(np.select([opacity >= COVERED, opacity <= OPEN], [1, 0], IGNORED))
    return Examples(small, np.array(targets, np.float32))


def shrunk(face: np.ndarray) -> np.ndarray:
    """A face at the size that the network sees: (SIDE, SIDE) uint8."""
    return cv2.resize(face, (covers.SIDE, covers.SIDE), interpolation=cv2.INTER_AREA).round().astype(np.uint8)


def altered(face: np.ndarray, rng: Generator) -> np.ndarray:
    """A face found elsewhere, in other light, more or less sharp: (SIDE, SIDE) float32."""
    middle, size = covers.SIDE / 2, rng.uniform(0.88, 1.14)
    transform = cv2.getRotationMatrix2D((middle, middle), rng.normal(0, 4), size)
    transform[:, 2] += rng.normal(0, 1.2, 2)
    if rng.random() < 0.5:
        transform[:, 2] += transform[:, 0] * (covers.SIDE - 1)
        transform[:, 0] *= -1
    moved = cv2.warpAffine(face, transform, face.shape, borderMode=cv2.BORDER_REFLECT).astype(np.float32)
    if rng.random() < 0.6:
        soft = cv2.GaussianBlur(moved, (0, 0), rng.uniform(0.5, 1.2))
        moved += rng.uniform(-1, 1) * (moved - soft)  # softer, or sharper
    if rng.random() < 0.3:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 90))]
        coded = cv2.imencode(".jpg", moved.clip(0, 255).astype(np.uint8), quality)[1]
        moved = cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE).astype(np.float32)
    return 255 * (moved.clip(0, 255) / 255) ** np.exp(rng.normal(0, 0.3))


class Batches(keras.utils.PyDataset):
    """Batches of examples, each chosen as often as `weights` say, and altered."""

    def __init__(self, examples: Examples, weights: np.ndarray, seed: int) -> None:
        super().__init__()
        self._examples, self._rng = examples, np.random.default_rng(seed)
        self._shares = weights / weights.sum()

    def __len__(self) -> int:
        return len(self._shares) // BATCH

    def __getitem__(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        chosen = self._rng.choice(len(self._shares), BATCH, p=self._shares)
        faces = np.stack([altered(face, self._rng) for face in self._examples.faces[chosen]])
        return covers.standardised(faces), self._examples.targets[chosen]


def loss(targets: keras.KerasTensor, probabilities: keras.KerasTensor) -> keras.KerasTensor:
    """Binary cross-entropy, without what is ignored."""
    ops = keras.ops
    of_target = ops.where(targets > 0.5, probabilities, 1 - probabilities)
    return ops.mean(ops.where(targets < 0, 0.0, -ops.log(of_target + 1e-6)))


def teach(faces: np.ndarray, photos: Sequence[np.ndarray], seed: int) -> keras.Model:
    """Train the network: on `faces` as they are, and on `plant_all` of them."""
    keras.utils.set_random_seed(seed)
    planted = plant_all(faces, photos, seed)
    as_is = Examples(np.stack([shrunk(face) for face in faces]), np.zeros((len(faces), 2), np.float32))
    model, weights = network(), np.ones(2 * len(faces))
    steps = sum(EPOCHS) * (len(weights) // BATCH)
    rate = keras.optimizers.schedules.CosineDecay(3e-3, steps, alpha=0.01)
    model.compile(keras.optimizers.AdamW(rate, weight_decay=1e-3), loss)
    for round_, epochs in enumerate(EPOCHS):
        examples = Examples(*(np.concatenate(both) for both in zip(planted, as_is, strict=True)))
        model.fit(Batches(examples, weights, seed + round_), epochs=epochs, verbose=2)
        said = model.predict(covers.standardised(as_is.faces), batch_size=512, verbose=0)
        as_is = as_is._replace(
            targets=np.select([said > SURE, said > DOUBTED], [1, IGNORED], 0).astype(np.float32)
        )
        weights[len(faces) :] = np.where((as_is.targets > 0).any(axis=1), OFTENER, 1)
    return model
