"""A small model's folder for tests: a network that looks at pixels, and answers the same everywhere."""

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from fer_tasks.labels import EXPRESSIONS
from fer_tasks.storage import cells
from fer_tasks.storage.model_folder import write_model_folder

SIDE = 32  # px of its input
RECIPE = [{"op": "gray"}, {"op": "resize", "size": SIDE}, {"op": "rescale"}]
CROP = {"mode": "fast", "max_side": 640, "min_score": 0.9, "min_face": 24, "margin": 0.2, "size": 150}
INFO = {
    "name": "tiny",
    "fingerprint": "0123456789abcdef",
    "labels": [*EXPRESSIONS],
    "recipe": RECIPE,
    "crop": CROP,
    "input": {"shape": [SIDE, SIDE, 1], "dtype": "float32", "range": [0, 1]},
    "temperature": 1.5,
    "doubt": {"threshold": 0.3, "answered": 0.9, "accuracy": 0.8},
    "conformal": {"scores": [i / 100 for i in range(1, 100)], "n": 99},
    "prior": [0.13, 0.02, 0.14, 0.25, 0.17, 0.17, 0.12],
    "balanced": {
        "doubt": {"threshold": 0.25, "answered": 0.8, "accuracy": 0.7},
        "conformal": {"scores": [i / 100 for i in range(1, 100)], "n": 99},
    },
    "figures": {},
    "onnx": {"max_difference": 0.0},
    "versions": {},
    "licence": "MIT",
}


def tiny_weights(seed: int = 2021) -> np.ndarray:
    """(16, 7) float32."""
    weights = np.random.default_rng(seed).normal(0, 6, ((SIDE // 8) ** 2, len(EXPRESSIONS)))
    return (weights - weights.mean(axis=0)).astype(np.float32)


def tiny_network(seed: int = 2021) -> bytes:
    """An ONNX file: means of 8 x 8 px squares, seven fixed sums of these, drawn by `seed`, softmax."""
    weights = tiny_weights(seed)
    nodes = [
        helper.make_node("Transpose", ["faces"], ["channels"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["channels"], ["means"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Flatten", ["means"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["sums"]),
        helper.make_node("Softmax", ["sums"], ["probabilities"], axis=1),
    ]
    faces = helper.make_tensor_value_info("faces", TensorProto.FLOAT, ["n", SIDE, SIDE, 1])
    answers = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", len(EXPRESSIONS)])
    constants = [numpy_helper.from_array(weights, "weights")]
    graph = helper.make_graph(nodes, "tiny", [faces], [answers], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return model.SerializeToString(deterministic=True)


def write_tiny_model(folder: Path, keras: bytes = b"not read", seed: int = 2021, **changes: object) -> Path:
    """Write the folder of the model, with changes of what model.json says. `keras`: its model.keras."""
    cell = folder.with_name(f"{folder.name}-cell")
    cell.mkdir(parents=True, exist_ok=True)
    (cell / "model.keras").write_bytes(keras)
    (cell / cells.LOG).write_text("")
    write_model_folder(folder, cell, tiny_network(seed), {**INFO, **changes})
    return folder
