"""A network as a LiteRT (TensorFlow Lite) file, and that file run."""

import time
from collections.abc import Sequence

import numpy as np

from apps.export.parity import ExportRefused
from fer_tasks.evaluation.calibration import TINY
from pathlib import Path


def to_litert(keras_file: Path, temperature: float, prior: Sequence[float]) -> bytes:
    """A model.keras, of mixed precision as float32: one input (1, M, N, C) float32, its calibrated
    probabilities (1, 7) float32 out.

    Raises:
        ExportRefused: it has a layer that LiteRT has no operation for.
    """
    import tensorflow as tf  # here: it takes seconds to import

    from fer_tasks.models import load_model
    from fer_tasks.training.backbone_runtime import in_float32

    model = load_model(keras_file)
    if "mixed_bfloat16" in model.to_json():
        model = in_float32(model)
    learnt = np.where(np.asarray(prior) > 0, 0, -np.inf).astype(np.float32)

    def infer(x: tf.Tensor) -> tf.Tensor:
        probabilities = tf.cast(model(x, training=False), tf.float32)
        return tf.nn.softmax(tf.math.log(tf.maximum(probabilities, TINY)) / temperature + learnt)

    spec = tf.TensorSpec((1, *model.input_shape[1:]), tf.float32, name="faces")
    graph = tf.function(infer, input_signature=[spec], autograph=False).get_concrete_function()
    try:
        return tf.lite.TFLiteConverter.from_concrete_functions([graph], model).convert()
    except Exception as error:  # the converter's own kind is private
        raise ExportRefused(f"LiteRT cannot express it: {_reason(error)}") from None


def run_litert(file: bytes, inputs: np.ndarray) -> tuple[np.ndarray, list[float]]:
    """The probabilities, (n, 7) float32, of inputs (n, M, N, C) float32; and how long each took, ms."""
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(model_content=file, num_threads=1)
    interpreter.allocate_tensors()
    entry, end = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    answers, ms = [], []
    for one in inputs:
        began = time.perf_counter()
        interpreter.set_tensor(entry, one[None])
        interpreter.invoke()
        answers.append(interpreter.get_tensor(end)[0])
        ms.append(1000 * (time.perf_counter() - began))
    return np.array(answers), ms


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if "op" in line.lower() and "needs" not in line.lower()]
    return (telling or lines or [type(error).__name__])[0][:200]
