"""What runs in the exporting process: a trained network as ONNX, run back beside the network itself."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tf2onnx
from onnxruntime import InferenceSession

from fer_tasks.errors import UserError
from fer_tasks.models import load_model
from fer_tasks.storage.files import read_array
from fer_tasks.training.backbone_runtime import in_float32
from fer_tasks.training.constant_graph import constant_graph
from fer_tasks.training.fit import predict

INPUT, OUTPUT = "faces", "probabilities"
BATCH = 32
TOLERANCE = 1e-4  # of a probability


class ExportFailed(UserError):
    """What was exported does not compute what the network does."""


def export_model(
    file: Path, array: Path, rows: np.ndarray, send: Callable[[Any], None]
) -> tuple[bytes, float]:
    """Export the network of a .keras file; of mixed precision, as float32.

    `array`, `rows`: a recipe's X.npy, and its rows on which both are run. Returns the ONNX file, which takes
    `faces` (n, M, N, C) float32 and gives `probabilities` (n, 7) float32, and the largest difference of one.

    Raises:
        ExportFailed: probabilities differ by more than TOLERANCE, or an answer differs.
        Exception: whatever a converter raises that cannot convert a layer.
    """
    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)  # it warns of optimizations that it leaves out
    model, faces = load_model(file), read_array(array)[rows].astype(np.float32)
    if "mixed_bfloat16" in model.to_json():
        model = in_float32(model)
    onnx = to_onnx(model)
    expected, returned = predict(model, faces, BATCH), run_onnx(onnx, faces)
    difference = float(np.abs(returned - expected).max())
    if not difference <= TOLERANCE:  # NaN, too
        raise ExportFailed(f"probabilities of the exported network are up to {difference:.2g} off")
    if others := int((returned.argmax(axis=1) != expected.argmax(axis=1)).sum()):
        raise ExportFailed(f"the exported network answers otherwise on {others} of {len(faces)} pictures")
    return onnx, difference


def to_onnx(model: keras.Model) -> bytes:
    """A float32 network as the bytes of an ONNX file.

    Of variables tf2onnx would make inputs, as of EfficientNet's normalization, which
    `model.export(format="onnx")` runs into.
    """
    graph = constant_graph(model, None)
    entry, result = graph.inputs[0].name, graph.outputs[0].name
    proto, _ = tf2onnx.convert.from_graph_def(
        graph.as_graph_def(),
        name=model.name,
        input_names=[entry],
        output_names=[result],
        tensors_to_rename={entry: INPUT, result: OUTPUT},
    )
    return proto.SerializeToString(deterministic=True)


def run_onnx(onnx: bytes, faces: np.ndarray) -> np.ndarray:
    """(n, 7) float32 probabilities that an exported network gives for faces (n, M, N, C) float32."""
    session = InferenceSession(onnx, providers=["CPUExecutionProvider"])
    blocks = [faces[at : at + BATCH] for at in range(0, len(faces), BATCH)]
    return np.concatenate([session.run([OUTPUT], {INPUT: block})[0] for block in blocks])
