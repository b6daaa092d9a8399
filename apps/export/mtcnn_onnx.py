"""MTCNN's three networks as ONNX files of any size of input: what `fer_tasks.faces.networks` compiles for
OpenVINO, layer by layer."""

from collections.abc import Sequence

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from fer_tasks.faces.networks import joined_heads, weights_of

OPSET, IR_VERSION = 17, 9


class _Layers:
    """An ONNX graph as it grows, one layer after the other; `last` names its end."""

    def __init__(self, entry: str):
        self.nodes, self.constants, self.last = [], [], entry

    def add(self, kind: str, *constants: np.ndarray, **attributes: object) -> None:
        """A layer of one input beside its constants."""
        number = len(self.nodes)
        names = [f"{kind}_{number}_{i}" for i in range(len(constants))]
        self.constants += map(numpy_helper.from_array, map(np.ascontiguousarray, constants), names)
        end = f"x_{number}"
        self.nodes.append(helper.make_node(kind, [self.last, *names], [end], **attributes))
        self.last = end

    def convolution(self, weights: Sequence[np.ndarray]) -> None:
        kernel, bias, *slope = weights
        self.add("Conv", kernel.transpose(3, 2, 0, 1), bias)
        if slope:
            self.add("PRelu", slope[0].reshape(-1, 1, 1))

    def dense(self, weights: Sequence[np.ndarray]) -> None:
        kernel, bias, *slope = weights
        self.add("Gemm", kernel, bias)
        if slope:
            self.add("PRelu", slope[0].ravel())

    def pool(self, side: int, border: str = "SAME_UPPER") -> None:
        self.add("MaxPool", kernel_shape=[side, side], strides=[2, 2], auto_pad=border)

    def flat(self) -> None:
        """Flatten in the package's order: columns, rows, channels."""
        self.add("Transpose", perm=[0, 3, 2, 1])
        self.add("Flatten")

    def model(self, name: str, shape: Sequence[int | str], result: Sequence[int | str]) -> bytes:
        entry = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, shape)
        self.add("Identity")
        self.nodes[-1].output[0] = "output"
        end = helper.make_tensor_value_info("output", TensorProto.FLOAT, result)
        graph = helper.make_graph(self.nodes, name, [entry], [end], self.constants)
        opset = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION)
        return model.SerializeToString(deterministic=True)


def propose() -> bytes:
    """P-Net: `pixels` (1, M, N, 3) float32 in -1..1, M and N at least 12 -> `output` (1, 5, m, n): of each
    cell four offsets and the score's logit."""
    x, weights = _Layers("pixels"), weights_of("pnet")
    x.add("Transpose", perm=[0, 3, 1, 2])
    x.convolution(weights[0:3])
    x.pool(2)
    x.convolution(weights[3:6])
    x.convolution(weights[6:9])
    x.convolution(joined_heads(weights[9:]))
    return x.model("pnet", [1, "M", "N", 3], [1, 5, "m", "n"])


def _trunk(name: str) -> tuple[_Layers, list[np.ndarray]]:
    """The first three convolutions of R-Net or O-Net, and all of its weights."""
    x, weights = _Layers("pixels"), weights_of(name)
    x.add("Transpose", perm=[0, 3, 1, 2])
    x.convolution(weights[0:3])
    x.pool(3)
    x.convolution(weights[3:6])
    x.pool(3, "VALID")
    x.convolution(weights[6:9])
    return x, weights


def refine() -> bytes:
    """R-Net: `pixels` (k, 24, 24, 3) -> `output` (k, 5), as P-Net's of one cell."""
    x, weights = _trunk("rnet")
    x.flat()
    x.dense(weights[9:12])
    x.dense(joined_heads(weights[12:]))
    return x.model("rnet", ["k", 24, 24, 3], ["k", 5])


def output() -> bytes:
    """O-Net: `pixels` (k, 48, 48, 3) -> `output` (k, 15): offsets, five columns and five rows of landmarks,
    logit."""
    x, weights = _trunk("onet")
    x.pool(2)
    x.convolution(weights[9:12])
    x.flat()
    x.dense(weights[12:15])
    x.dense(joined_heads(weights[15:]))
    return x.model("onet", ["k", 48, 48, 3], ["k", 15])
