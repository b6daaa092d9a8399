"""The page of `monday-fer serve` as static files: all networks run in the browser, by onnxruntime-web."""

import json
import shutil
import subprocess
import tempfile
from importlib.resources import files
from pathlib import Path

import numpy as np

from apps.export import mtcnn_onnx
from apps.export.onnxruntime_web import runtime_files
from apps.export.parity import ExportRefused
from apps.export.reference import Reference
from apps.export.source import Source
from fer_tasks.storage.files import write_bytes, write_text

PAGE = Path(str(files("apps.serve").joinpath("static")))
OURS = Path(str(files("apps.export").joinpath("web")))
ANSWERS = Path(str(files("apps.export").joinpath("web_answers.mjs")))
STEPS = ("gray", "resize", "centre", "rescale")  # of recipes: those of web/model/recipe.mjs
HEAD = '<meta charset="utf-8">'
# That nothing is asked for elsewhere: the server that serves these files states no such policy.
POLICY = "default-src 'self'; img-src 'self' blob: data:; script-src 'self' 'wasm-unsafe-eval'; "
POLICY += "base-uri 'none'; form-action 'none'"
PATIENCE_S = 300


def write_page(source: Source, folder: Path, onnxruntime_web: Path | None) -> None:
    """Write the page, the networks and onnxruntime-web's files, which may be given (see `runtime_files`).

    Raises:
        ExportRefused: the recipe has a step that only Python computes, or onnxruntime-web cannot be got.
    """
    if other := [step["op"] for step in source.info["recipe"] if step["op"] not in STEPS]:
        known = ", ".join(STEPS[:-1])
        raise ExportRefused(
            f"its recipe has the step {other[0]}, which a browser has no code for; "
            f"choose a model whose recipe has {known} and {STEPS[-1]} only"
        )
    runtime = runtime_files(onnxruntime_web)
    for root in (PAGE, OURS):  # whose ask.js takes the place of the page's
        for file in root.rglob("*.*"):
            write_bytes(folder / file.relative_to(root), file.read_bytes())
    page = (PAGE / "index.html").read_text()
    policy = f'{HEAD}\n<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    write_text(folder / "index.html", page.replace(HEAD, policy, 1))
    for name, content in runtime.items():
        write_bytes(folder / "onnxruntime-web" / name, content)
    model = folder / "model"
    networks = {"pnet": mtcnn_onnx.propose(), "rnet": mtcnn_onnx.refine(), "onet": mtcnn_onnx.output()}
    for name, content in {**networks, "model": source.onnx}.items():
        write_bytes(model / f"{name}.onnx", content)
    write_text(model / "model.json", json.dumps(source.about, indent=2) + "\n")


def run_page(folder: Path, reference: Reference) -> tuple[np.ndarray, list[float]]:
    """The probabilities, (n, 7), by the page's own code and onnxruntime-web in Node.js; and ms for each.

    Raises:
        ExportRefused: Node.js is missing or too old, or the code fails.
    """
    node = shutil.which("node")
    if not node:
        raise ExportRefused("node, by which the page's answers are compared, is missing; install Node.js")
    with tempfile.NamedTemporaryFile(prefix="crops-") as file:
        file.write(reference.crops.tobytes())
        file.flush()
        command = [node, str(ANSWERS), str(folder), file.name, str(reference.crops.shape[1])]
        try:
            run = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise ExportRefused(f"the page's code did not answer in {PATIENCE_S} s") from None
    if run.returncode:
        telling = [line for line in run.stderr.splitlines() if "Error" in line] or ["it says nothing"]
        raise ExportRefused(f"the page's code does not run: {telling[0].strip()}")
    said = json.loads(run.stdout)
    return np.array(said["answers"]), said["ms"]
