"""Detect eyes or mouths that are covered by hands, sunglasses, food …: with a small network that learnt it.

The network sees the aligned face in grey, at the size of FER2013's pictures, of which `cover_training` makes
its examples. Nothing is learnt from the faces that are judged: one is judged as well as many.
"""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from onnxruntime import InferenceSession, SessionOptions

from fer_tasks.errors import UserError

NETWORK = Path("pretrained/covers.onnx")  # in a project; `python -m flows.covers` makes it
SIDE = 48  # px of the aligned face
EYES, MOUTH = ((15.4, 14.7), (32.6, 14.7)), (24.0, 34.3)  # (x, y) px in the aligned face
Network = Callable[[np.ndarray], np.ndarray]


class BadCoverNetwork(UserError):
    """The network of covers cannot be run."""


class CroppedFace(NamedTuple):
    """The file of a cropped face."""

    path: Path
    landmarks: np.ndarray | None  # (5, 2) float, (x, y) px of the crop: eyes, nose, corners of the mouth


def align(face: np.ndarray, landmarks: np.ndarray, side: int = SIDE) -> np.ndarray:
    """A face in grey, with eyes and mouth as near to EYES and MOUTH as turning and scaling bring them.

    `face`: (M, N, 3) or (M, N) uint8. `landmarks`: (5, 2) float, (x, y) px in it: eyes, nose, corners of the
    mouth. Returns (side, side) uint8; EYES and MOUTH are there times side / SIDE.
    """
    grey = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY) if face.ndim == 3 else face
    found = np.array([landmarks[0], landmarks[1], (landmarks[3] + landmarks[4]) / 2]) @ [1, 1j]
    wanted = np.array([*EYES, MOUTH]) @ [1, 1j] * (side / SIDE)
    spread = max(float((np.abs(found - found.mean()) ** 2).sum()), 1.0)
    turn = np.vdot(found - found.mean(), wanted - wanted.mean()) / spread  # least squares
    if abs(turn) < 1:  # the warp only interpolates between neighbouring pixels: shrink by areas first
        height, width = grey.shape
        shrunk = (max(1, round(width * abs(turn))), max(1, round(height * abs(turn))))
        grey = cv2.resize(grey, shrunk, interpolation=cv2.INTER_AREA)
        found, turn = found * (shrunk[0] / width), turn * (width / shrunk[0])
    shift = wanted.mean() - turn * found.mean()
    transform = np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])
    return cv2.warpAffine(grey, transform, (side, side), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)


def standardised(aligned: np.ndarray) -> np.ndarray:
    """Faces without their own brightness and contrast: (n, SIDE, SIDE) -> (n, SIDE, SIDE, 1) float32."""
    grey = aligned.astype(np.float32)
    mean, deviation = grey.mean(axis=(1, 2), keepdims=True), grey.std(axis=(1, 2), keepdims=True)
    return ((grey - mean) / np.maximum(deviation, 4))[..., None]


@cache
def cover_network(onnx: bytes) -> Network:
    """A function from `standardised` faces to the probabilities that eyes, and that the mouth, are covered:
    (n, 2) float32, 0..1.

    Raises:
        BadCoverNetwork: the file is damaged, or of another network.
    """
    options = SessionOptions()
    options.intra_op_num_threads = 1  # the caller runs a process per core
    try:
        session = InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
        [entry], [result] = session.get_inputs(), session.get_outputs()
        blank = np.zeros((2, SIDE, SIDE, 1), np.float32)
        shape = session.run([result.name], {entry.name: blank})[0].shape
    except Exception as error:  # onnxruntime's errors have no class in common
        raise BadCoverNetwork(f"it is damaged: {str(error).strip().splitlines()[-1]}") from None
    if shape != (2, 2):
        raise BadCoverNetwork(f"it is of another network: it answers {shape[1:]} and not (2,)")
    return lambda faces: session.run([result.name], {entry.name: faces})[0]


def covered(onnx: bytes, aligned: np.ndarray) -> np.ndarray:
    """The probability that a face's eyes or mouth are covered, the larger of the two: (n,) float, 0..1.

    `aligned`: (n, SIDE, SIDE) uint8.
    """
    return cover_network(onnx)(standardised(aligned)).max(axis=1)


def covered_files(
    onnx: bytes, read: Callable[[Path], np.ndarray], faces: Sequence[CroppedFace]
) -> list[float]:
    """`covered` of faces in files; NaN for one without landmarks. `read(path)`: -> (M, N, 3) uint8."""
    return [
        np.nan
        if face.landmarks is None
        else float(covered(onnx, align(read(face.path), face.landmarks)[None])[0])
        for face in faces
    ]
