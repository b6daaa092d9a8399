"""A model's network without TensorFlow: ONNX, compiled by OpenVINO."""

import threading
from collections.abc import Callable

import numpy as np
import openvino

from fer_tasks.errors import UserError

Network = Callable[[np.ndarray], np.ndarray]
EXACT = {"INFERENCE_PRECISION_HINT": "f32"}  # some processors would compute in bfloat16 otherwise
ONE_THREAD = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1}


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
        compiled = core.compile_model(model, "CPU", EXACT | ONE_THREAD)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise BadNetwork(f"the network of this model cannot be run: {reason}") from None
    own = threading.local()

    def run(face: np.ndarray) -> np.ndarray:
        if not hasattr(own, "request"):
            own.request = compiled.create_infer_request()
        return own.request.infer({0: face[None]}, share_inputs=True)[0][0].copy()

    return run
