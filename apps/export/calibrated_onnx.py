"""A network whose answers are final: the temperature, and what it has not learnt, as its last layers."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from fer_tasks.evaluation.calibration import TINY, unlearnt_as_logits

OUTPUT = "calibrated"


def calibrated_onnx(network: bytes, temperature: float, prior: list[float]) -> bytes:
    """An ONNX file that gives (n, 7) float32 `calibration.calibrated` of what `network` gives."""
    model = onnx.load_from_string(network)
    given = model.graph.output[0]
    learnt = unlearnt_as_logits(prior)
    constants = {"tiny": np.float32(TINY), "temperature": np.float32(temperature), "learnt": learnt}
    model.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()
    )
    model.graph.node.extend(
        [
            helper.make_node("Max", [given.name, "tiny"], ["positive"]),
            helper.make_node("Log", ["positive"], ["logarithms"]),
            helper.make_node("Div", ["logarithms", "temperature"], ["divided"]),
            helper.make_node("Add", ["divided", "learnt"], ["masked"]),
            helper.make_node("Softmax", ["masked"], [OUTPUT], axis=1),
        ]
    )
    shape = [one.dim_param or one.dim_value for one in given.type.tensor_type.shape.dim]
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, shape))
    return model.SerializeToString(deterministic=True)
