"""The fastest way to compute with a model that does not train any more, as exactly as TensorFlow does."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

BATCH = 8  # OpenVINO's shapes are fixed; 32 at a time take as long or longer
LARGEST_ERROR = 1e-5  # against the largest value; OpenVINO's float32 is at 2e-7 to 3e-6 for our backbones

Function = Callable[[np.ndarray], np.ndarray]


def fastest(model: keras.Model) -> Function:
    """A function of inputs (n, ...) float32 that gives what `model` does in inference mode, float32.

    By OpenVINO in float32, in 0.5 to 0.9 of TensorFlow's time (`benchmarks/frozen_features.py`), where that
    comes to the same on a batch of noise; else, and for a model that computes in bfloat16, by TensorFlow.
    """
    by_tensorflow = _tensorflow(model)
    if keras.backend.standardize_dtype(model.outputs[0].dtype) != "float32":
        return by_tensorflow
    noise = np.random.default_rng(0).uniform(0, 255, (BATCH, *model.input_shape[1:])).astype(np.float32)
    wanted = by_tensorflow(noise)
    by_openvino = _openvino(model)
    error = np.abs(by_openvino(noise) - wanted).max()
    return by_openvino if error <= LARGEST_ERROR * np.abs(wanted).max() else by_tensorflow


def _graph(model: keras.Model, batch: int | None) -> tf.types.experimental.PolymorphicFunction:
    shape = tf.TensorSpec((batch, *model.input_shape[1:]))
    return tf.function(lambda x: tf.cast(model(x, training=False), tf.float32), input_signature=[shape])


def _tensorflow(model: keras.Model) -> Function:
    graph = _graph(model, None)
    return lambda x: graph(x).numpy()


def _openvino(model: keras.Model) -> Function:
    import openvino  # here, so that only who computes features pays for it

    # Constants for variables: without them OpenVINO keeps what only a gradient would want, and its layout.
    frozen = convert_variables_to_constants_v2(_graph(model, BATCH).get_concrete_function())
    options = {
        "INFERENCE_PRECISION_HINT": "f32",  # it would choose bfloat16 where the processor has it
        "INFERENCE_NUM_THREADS": tf.config.threading.get_intra_op_parallelism_threads(),
        "NUM_STREAMS": 1,
    }
    with tempfile.TemporaryDirectory() as folder:
        tf.io.write_graph(frozen.graph.as_graph_def(), folder, "model.pb", as_text=False)
        core = openvino.Core()
        compiled = core.compile_model(core.read_model(Path(folder, "model.pb")), "CPU", options)

    def compute(x: np.ndarray) -> np.ndarray:
        blocks = (x[at : at + BATCH] for at in range(0, len(x), BATCH))
        return np.concatenate([compiled(_filled(block))[0][: len(block)] for block in blocks])

    return compute


def _filled(block: np.ndarray) -> np.ndarray:
    """A block of BATCH rows, with zeros for those that it has not."""
    return np.pad(block, [(0, BATCH - len(block)), *[(0, 0)] * (block.ndim - 1)])
