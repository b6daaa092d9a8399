"""MTCNN's three networks with the `mtcnn` package's weights, compiled by OpenVINO for a few shapes and one
thread.

Zhang et al. 2016, "Joint Face Detection and Alignment using Multitask Cascaded Convolutional Networks". The
package's own networks need TensorFlow and 1 GB of memory; these need 0.1 GB, and a call has little overhead.
"""

import importlib.util
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import joblib
import numpy as np
import openvino
from openvino import opset13 as ops

PAGE = 640  # px of a side of P-Net's input: larger pages are not faster, smaller ones are filled less well
# Heights and widths, the smaller ones first, which take less time.
PAGES = ((80, 320), (80, PAGE), (160, 320), (160, PAGE), (320, PAGE), (PAGE, PAGE))
REFINE_BATCHES = (4, 8, 16, 32)
OUTPUT_BATCHES = (1, 2, 4, 8)
OPTIONS = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
OPTIONS |= {"ENABLE_CPU_PINNING": False}  # else to the first core, where all threads and processes would meet
Network = Callable[..., np.ndarray]


class Networks(NamedTuple):
    """The networks: functions from float32 arrays, pixels in -1..1, to one float32 array. Each is compiled
    for a shape when that is first given, in about 0.05 s.

    For each position or crop the output has four offsets of the box, O-Net's also the ten coordinates of the
    landmarks, and last the score's logit. The next call overwrites the array.
    """

    propose: Network  # page (1, M, N, 3), one of PAGES; mask (1, 1, M - 2, N - 2) -> (1, 5, m, n)
    refine: Network  # crops (k, 24, 24, 3), k of REFINE_BATCHES -> (k, 5)
    output: Network  # crops (k, 48, 48, 3), k of OUTPUT_BATCHES -> (k, 15)


def networks() -> Networks:
    """The networks, for one thread at a time."""
    return Networks(*map(_compiled_by_shape, (_propose, _refine, _output)))


def _compiled_by_shape(build: Callable[[tuple[int, ...]], openvino.Model]) -> Network:
    compiled: dict[tuple[int, ...], Network] = {}

    def run(*inputs: np.ndarray) -> np.ndarray:
        shape = inputs[0].shape
        if shape not in compiled:
            compiled[shape] = _compile(build(shape))
        return compiled[shape](*inputs)

    return run


def _compile(model: openvino.Model) -> Network:
    request = openvino.Core().compile_model(model, "CPU", OPTIONS).create_infer_request()

    def run(*inputs: np.ndarray) -> np.ndarray:
        return request.infer(dict(enumerate(inputs)), share_inputs=True, share_outputs=True)[0]

    return run


def _propose(shape: tuple[int, ...]) -> openvino.Model:
    page, weights = ops.parameter([*shape], np.float32), weights_of("pnet")
    # The mask is very low where a picture of odd size ends: pooling must not take its neighbour on the page.
    mask = ops.parameter([1, 1, shape[1] - 2, shape[2] - 2], np.float32)
    x = _convolution(ops.transpose(page, [0, 3, 1, 2]), weights[0:3])
    x = _pool(ops.add(x, mask), 2)
    x = _convolution(_convolution(x, weights[3:6]), weights[6:9])
    return openvino.Model([_convolution(x, joined_heads(weights[9:]))], [page, mask])


def _refine(shape: tuple[int, ...]) -> openvino.Model:
    crops, weights = ops.parameter([*shape], np.float32), weights_of("rnet")
    x = _pool(_convolution(ops.transpose(crops, [0, 3, 1, 2]), weights[0:3]), 3)
    x = _pool(_convolution(x, weights[3:6]), 3, "valid")
    x = _dense(_flat(_convolution(x, weights[6:9])), weights[9:12])
    return openvino.Model([_dense(x, joined_heads(weights[12:]))], [crops])


def _output(shape: tuple[int, ...]) -> openvino.Model:
    crops, weights = ops.parameter([*shape], np.float32), weights_of("onet")
    x = _pool(_convolution(ops.transpose(crops, [0, 3, 1, 2]), weights[0:3]), 3)
    x = _pool(_convolution(x, weights[3:6]), 3, "valid")
    x = _pool(_convolution(x, weights[6:9]), 2)
    x = _dense(_flat(_convolution(x, weights[9:12])), weights[12:15])
    return openvino.Model([_dense(x, joined_heads(weights[15:]))], [crops])


@cache
def weights_of(name: str) -> list[np.ndarray]:
    """The arrays of pnet, rnet or onet: of each layer the kernel (Keras' order), bias and slopes, if it has
    any; the heads come last."""
    package = importlib.util.find_spec("mtcnn")  # not imported: that would import TensorFlow
    return joblib.load(Path(package.submodule_search_locations[0]) / "assets" / "weights" / f"{name}.lz4")


def joined_heads(weights: list[np.ndarray]) -> list[np.ndarray]:
    """Join a network's heads, kernels and biases, into one kernel and bias. The last head is a softmax of two
    classes, whose difference is the logit."""
    kernels, biases = list(weights[0::2]), list(weights[1::2])
    for each in (kernels, biases):
        each[-1] = each[-1][..., 1:] - each[-1][..., :1]
    return [np.concatenate(kernels, axis=-1), np.concatenate(biases, axis=-1)]


def _convolution(x: Any, weights: list[np.ndarray]) -> Any:
    kernel, bias, *slope = weights
    kernel = ops.constant(np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)))
    x = ops.convolution(x, kernel, [1, 1], [0, 0], [0, 0], [1, 1])
    return _prelu(ops.add(x, ops.constant(bias.reshape(1, -1, 1, 1))), slope)


def _dense(x: Any, weights: list[np.ndarray]) -> Any:
    kernel, bias, *slope = weights
    x = ops.matmul(x, ops.constant(kernel), False, False)
    return _prelu(ops.add(x, ops.constant(bias.reshape(1, -1))), slope)


def _prelu(x: Any, slope: list[np.ndarray]) -> Any:
    return ops.prelu(x, ops.constant(slope[0].ravel())) if slope else x


def _pool(x: Any, side: int, border: str = "same_upper") -> Any:
    return ops.max_pool(x, [2, 2], [1, 1], [0, 0], [0, 0], [side, side], "floor", border).output(0)


def _flat(x: Any) -> Any:
    """Flatten in the package's order: columns, rows, channels."""
    return ops.reshape(ops.transpose(x, [0, 3, 2, 1]), [0, -1], True)
