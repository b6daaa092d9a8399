"""What a trained network sees in a face: its answer, and what the answer is computed from."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import openvino

ZOOMS = (1.0, 1.2)  # how much closer than the network's own crop: two crops tell more than one
# One thread: the caller runs a process per core. Some processors would compute in bfloat16.
OPTIONS = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
OPTIONS |= {"ENABLE_CPU_PINNING": False}
TINY = np.finfo(np.float32).tiny  # a probability that rounded to 0 counts as this
Transform = Callable[[np.ndarray], np.ndarray]


class FramedFace(NamedTuple):
    """The file of a cropped face, and the side of the crop that the network takes, in px of it."""

    path: Path
    side: float


def see_files(
    read: Callable[[Path], np.ndarray], transform: Transform, onnx: bytes, faces: Sequence[FramedFace]
) -> list[np.ndarray]:
    """`see` for faces in files; `read(path)` decodes one to (M, M, 3) uint8."""
    cv2.setNumThreads(1)
    return [see(read(face.path), face.side, transform, onnx) for face in faces]


def see(face: np.ndarray, side: float, transform: Transform, onnx: bytes) -> np.ndarray:
    """What a network sees in a face: (d,) float32, whatever other faces there are.

    It is what the last dense layer takes, at each of ZOOMS, and the logarithms of the seven probabilities,
    the mean. `face`: (M, M, 3) uint8. `side`: as of FramedFace. `transform`: the network's recipe. `onnx`:
    the network, (n, M, N, C) float32 -> (n, 7) float32 probabilities.
    """
    views = np.stack([transform(framed(face, side / zoom)) for zoom in ZOOMS]).astype(np.float32)
    answers, features = _compile(onnx, views.shape)(views).values()
    return np.append(features, np.log(np.maximum(answers, TINY)).mean(axis=0))


def framed(face: np.ndarray, side: float) -> np.ndarray:
    """The middle of a face, (M, M, 3), `side` px wide; beyond its border it is mirrored."""
    border = round((side - len(face)) / 2)
    if border > 0:
        return cv2.copyMakeBorder(face, border, border, border, border, cv2.BORDER_REFLECT)
    return np.ascontiguousarray(face[-border : len(face) + border, -border : len(face) + border])


@lru_cache(maxsize=1)
def _compile(onnx: bytes, shape: tuple[int, ...]) -> openvino.CompiledModel:
    """A network for inputs of this shape, with what its last dense layer takes as a second output."""
    core = openvino.Core()
    model = core.read_model(onnx)
    dense = [layer for layer in model.get_ordered_ops() if layer.get_type_name() == "MatMul"][-1]
    model.add_outputs(dense.input_value(0))
    model.reshape(shape)
    return core.compile_model(model, "CPU", OPTIONS)
