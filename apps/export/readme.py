"""The README of an export: how to use it."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

TEMPLATES = str(files("apps.export").joinpath("templates"))
BESIDE = {"json": "`model.json`", "licences": ""}
USES: dict[str, dict[str, str]] = {
    "onnx": {
        "title": "ONNX Runtime",
        "packages": "onnxruntime",
        "load": 'import onnxruntime\n\nnetwork = onnxruntime.InferenceSession("model.onnx")',
        "ask": 'shares = network.run(None, {"faces": face})[0][0]',
        **BESIDE,
    },
    "litert": {
        "title": "LiteRT (TensorFlow Lite)",
        "packages": "ai-edge-litert",
        "load": "from ai_edge_litert.interpreter import Interpreter\n\n"
        'network = Interpreter("model.tflite")\n'
        "network.allocate_tensors()",
        "ask": 'network.set_tensor(network.get_input_details()[0]["index"], face)\n'
        "network.invoke()\n"
        'shares = network.get_tensor(network.get_output_details()[0]["index"])[0]',
        **BESIDE,
    },
    "openvino": {
        "title": "OpenVINO",
        "packages": "openvino",
        "load": "import openvino\n\n"
        'network = openvino.compile_model("model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})',
        "ask": "shares = network(face)[0][0]",
        **BESIDE,
    },
    "web": {
        "title": "the browser",
        "packages": "",
        "json": "`model/model.json`",
        "licences": " MTCNN finds faces, by the weights of the package `mtcnn`: MIT; so is onnxruntime-web.",
    },
}


def readme(target: str, about: Mapping[str, Any]) -> str:
    """README.md of an export. `about`: the content of its model.json."""
    loader = FileSystemLoader(TEMPLATES)
    environment = Environment(
        loader=loader, undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    steps = [_code(step, about["recipe"][:i], about) for i, step in enumerate(about["recipe"])]
    return environment.get_template("readme.md.j2").render(about=about, steps=steps, use=USES[target])


def _code(step: Mapping[str, Any], before: list[Mapping[str, Any]], about: Mapping[str, Any]) -> str:
    """A line of Python for a step of the recipe."""
    match step:
        case {"op": "gray"}:
            return "face = cv2.cvtColor(np.ascontiguousarray(face), cv2.COLOR_RGB2GRAY)"
        case {"op": "resize", "size": size}:
            kind = "AREA" if size < about["crop"]["size"] else "LINEAR"
            return f"face = cv2.resize(face, ({size}, {size}), interpolation=cv2.INTER_{kind})"
        case {"op": "rescale"}:
            return "face = face / np.float32(255)"
        case {"op": "clahe", "clip": clip, "tile": tile} if {"op": "gray"} in before:
            return f"face = cv2.createCLAHE({clip}, ({tile}, {tile})).apply(face)"
    return f"# here the step {dict(step)}, as fer_tasks/recipes.py of Monday FER computes it"
