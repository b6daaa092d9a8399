"""The runtimes that a model can be exported to: how each one's files are written, and run."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime
import openvino

from apps.export import litert
from apps.export.reference import Reference
from apps.export.source import Source
from apps.export.web_page import run_page, write_page
from apps.predict.network import OPTIONS
from fer_tasks.storage.files import write_bytes
from fer_tasks.storage.model_folder import read_keras

Answers = tuple[np.ndarray, Sequence[float]]  # (n, 7) probabilities, and how long each took, ms


class Target(NamedTuple):
    """A runtime."""

    package: str  # that runs it; its version is told
    write: Callable[[Source, Path, Path | None], None]  # the model's files into a folder
    run: Callable[[Path, Reference], Answers]  # what is in that folder, on each face


def _write_onnx(source: Source, folder: Path, _: Path | None) -> None:
    write_bytes(folder / "model.onnx", source.onnx)


def _run_onnx(folder: Path, reference: Reference) -> Answers:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    file = folder / "model.onnx"
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return _timed(lambda one: session.run(None, {session.get_inputs()[0].name: one[None]})[0][0], reference)


def _write_litert(source: Source, folder: Path, _: Path | None) -> None:
    keras_file, info = read_keras(source.folder)
    write_bytes(folder / "model.tflite", litert.to_litert(keras_file, info["temperature"], info["prior"]))


def _run_litert(folder: Path, reference: Reference) -> Answers:
    return _timed(litert.interpreter((folder / "model.tflite").read_bytes()), reference)


def _write_openvino(source: Source, folder: Path, _: Path | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    model = openvino.Core().read_model(source.onnx)
    openvino.save_model(model, folder / "model.xml", compress_to_fp16=False)


def _run_openvino(folder: Path, reference: Reference) -> Answers:
    core = openvino.Core()
    model = core.read_model(folder / "model.xml")
    model.reshape([1, *reference.inputs.shape[1:]])
    one_thread = OPTIONS | {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1}
    request = core.compile_model(model, "CPU", one_thread).create_infer_request()
    return _timed(lambda one: request.infer({0: one[None]})[0][0].copy(), reference)


def _timed(network: Callable[[np.ndarray], np.ndarray], reference: Reference) -> Answers:
    answers, ms = [], []
    for one in reference.inputs:
        began = time.perf_counter()
        answers.append(network(one))
        ms.append(1000 * (time.perf_counter() - began))
    return np.array(answers), ms


TARGETS = {
    "onnx": Target("onnxruntime", _write_onnx, _run_onnx),
    "litert": Target("tensorflow", _write_litert, _run_litert),
    "openvino": Target("openvino", _write_openvino, _run_openvino),
    "web": Target("onnxruntime-web", write_page, run_page),
}
