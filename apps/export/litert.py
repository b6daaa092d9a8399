"""A network as a LiteRT (TensorFlow Lite) file, and that file run."""

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from apps.export.parity import ExportRefused
from fer_tasks.evaluation.calibration import TINY, unlearnt_as_logits


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what TensorFlow's C++ code writes on standard error; errors that it raises say more."""
    kept = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@_quiet()
def to_litert(keras_file: Path, temperature: float, prior: Sequence[float]) -> bytes:
    """A model.keras, of mixed precision as float32: one input (1, M, N, C) float32, its calibrated
    probabilities (1, 7) float32 out.

    Raises:
        ExportRefused: it cannot be loaded, or has a layer that LiteRT has no operation for.
    """
    import tensorflow as tf  # here: it takes seconds to import
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    from fer_tasks.models import load_model
    from fer_tasks.training.backbone_runtime import in_float32

    try:
        model = load_model(keras_file)
    except Exception as error:  # whatever a damaged file, or a layer of another version, raises
        raise ExportRefused(f"{keras_file} cannot be loaded: {_reason(error)}") from None
    if "mixed_bfloat16" in model.to_json():
        model = in_float32(model)
    learnt = unlearnt_as_logits(prior)

    def infer(faces: tf.Tensor) -> tf.Tensor:
        shares = tf.cast(model(faces, training=False), tf.float32)
        logarithms = tf.math.log(tf.maximum(shares, TINY))
        return tf.nn.softmax(logarithms / temperature + learnt)

    spec = tf.TensorSpec((1, *model.input_shape[1:]), tf.float32, name="faces")
    graph = tf.function(infer, input_signature=[spec], autograph=False).get_concrete_function()
    # Of variables the converter would make resources that nobody fills.
    frozen = convert_variables_to_constants_v2(graph)
    try:
        return tf.lite.TFLiteConverter.from_concrete_functions([frozen], model).convert()
    except Exception as error:  # the converter's own kind is private
        raise ExportRefused(f"LiteRT cannot express it: {_reason(error)}") from None


@_quiet()
def interpreter(file: bytes) -> Callable[[np.ndarray], np.ndarray]:
    """A function from one input, (M, N, C) float32, to its (7,) float32 probabilities."""
    import tensorflow as tf

    with warnings.catch_warnings(action="ignore"):  # that ai_edge_litert has it, too
        runner = tf.lite.Interpreter(model_content=file, num_threads=1)
    runner.allocate_tensors()
    entry, end = runner.get_input_details()[0]["index"], runner.get_output_details()[0]["index"]

    def run(face: np.ndarray) -> np.ndarray:
        runner.set_tensor(entry, face[None])
        runner.invoke()
        return runner.get_tensor(end)[0]

    return run


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if "op" in line.lower() and "needs" not in line.lower()]
    return (telling or lines or [type(error).__name__])[0][:200]
