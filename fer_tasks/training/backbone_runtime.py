"""Compile a model for inference: by OpenVINO where its output matches TensorFlow's, else by TensorFlow."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from fer_tasks.training.constant_graph import constant_graph

BATCH = 4  # OpenVINO's shapes are fixed; the largest maps of more pictures leave the cache
LARGEST_ERROR = 1e-5  # relative to the largest value; OpenVINO's float32 is at 2e-7 to 3e-6 for our backbones
NO_FURTHER = 1.5  # times the RMS error of TensorFlow's bfloat16; OpenVINO's is at 0.3 to 1.1

Function = Callable[[np.ndarray], np.ndarray]


def compile_inference(model: keras.Model) -> Function:
    """Return a function of inputs (n, ...) float32 that computes the model's float32 output for inference.

    Uses OpenVINO, in 0.5 to 0.9 of TensorFlow's time (`benchmarks/frozen_features.py`), if its output matches
    TensorFlow's on random input, else TensorFlow. A mixed_bfloat16 model is computed in bfloat16, in 0.3 to
    0.5 of the time, if the processor supports it and the result is about as accurate as TensorFlow's; else in
    float32.
    """
    in_half = keras.backend.standardize_dtype(model.outputs[0].dtype) != "float32"
    exact = in_float32(model) if in_half else model
    by_tensorflow, by_openvino = _tensorflow(exact), _openvino(exact, in_half)
    noise = np.random.default_rng(0).uniform(0, 255, (BATCH, *model.input_shape[1:])).astype(np.float32)
    expected = by_tensorflow(noise)
    error = by_openvino(noise) - expected
    if in_half:
        rounding = _tensorflow(model)(noise) - expected
        near = np.linalg.norm(error) <= NO_FURTHER * np.linalg.norm(rounding)
    else:
        near = np.abs(error).max() <= LARGEST_ERROR * np.abs(expected).max()
    return by_openvino if near else by_tensorflow


def in_float32(model: keras.Model) -> keras.Model:
    """A copy of a mixed_bfloat16 model that computes in float32."""
    copy = keras.models.model_from_json(model.to_json().replace("mixed_bfloat16", "float32"))
    copy.set_weights(model.get_weights())
    return copy


def _tensorflow(model: keras.Model) -> Function:
    shape = tf.TensorSpec((None, *model.input_shape[1:]))
    graph = tf.function(lambda x: tf.cast(model(x, training=False), tf.float32), input_signature=[shape])
    return lambda x: graph(x).numpy()


def _openvino(model: keras.Model, in_half: bool) -> Function:
    """Compile for OpenVINO: in bfloat16 if `in_half` and the processor supports it, else in float32."""
    import openvino  # not at the top: only processes that compute features need it

    core = openvino.Core()
    has_half = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    options = {
        "INFERENCE_PRECISION_HINT": "bf16" if in_half and has_half else "f32",
        "INFERENCE_NUM_THREADS": tf.config.threading.get_intra_op_parallelism_threads(),
        "ENABLE_CPU_PINNING": False,  # else to the first cores, where cells would meet
        "NUM_STREAMS": 1,
    }
    with tempfile.TemporaryDirectory() as folder:
        # Constants in place of variables: else OpenVINO keeps what only a gradient needs, and its layout.
        tf.io.write_graph(constant_graph(model, BATCH).as_graph_def(), folder, "model.pb", as_text=False)
        compiled = core.compile_model(core.read_model(Path(folder, "model.pb")), "CPU", options)

    def compute(x: np.ndarray) -> np.ndarray:
        blocks = (x[at : at + BATCH] for at in range(0, len(x), BATCH))
        return np.concatenate([compiled(_filled(block))[0][: len(block)] for block in blocks])

    return compute


def _filled(block: np.ndarray) -> np.ndarray:
    """A block padded with zeros to BATCH rows."""
    return np.pad(block, [(0, BATCH - len(block)), *[(0, 0)] * (block.ndim - 1)])
