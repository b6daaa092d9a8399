"""A model's network without TensorFlow: ONNX, compiled by OpenVINO."""

import threading
from collections.abc import Callable

import numpy as np
import openvino

from apps.predict.on_all_cores import THREADS
from fer_tasks.errors import UserError

Network = Callable[[np.ndarray], np.ndarray]
# Else some processors would compute in bfloat16, and OpenVINO would bind a thread to the first core.
OPTIONS = {"INFERENCE_PRECISION_HINT": "f32", "ENABLE_CPU_PINNING": False}
OPTIONS |= {"INFERENCE_NUM_THREADS": THREADS, "NUM_STREAMS": THREADS}


class BadNetwork(UserError):
    """model.onnx is whole, but cannot be run."""


def compile_network(onnx: bytes, shape: list[int]) -> Network:
    """A function from one input, (M, N, C) float32 of this shape, to its (7,) float32 probabilities.

    One input at a time: an answer does not depend on what else is asked. Threads may call it at the same
    time.

    Raises:
        BadNetwork: OpenVINO cannot run it.
    """
    try:
        core = openvino.Core()
        model = core.read_model(onnx)
        model.reshape([1, *shape])
        compiled = core.compile_model(model, "CPU", OPTIONS)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise BadNetwork(f"the network of this model cannot be run: {reason}") from None
    own = threading.local()

    def run(face: np.ndarray) -> np.ndarray:
        if not hasattr(own, "request"):
            own.request = compiled.create_infer_request()
        return own.request.infer({0: face[None]}, share_inputs=True)[0][0].copy()

    return run
