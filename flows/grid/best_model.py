"""models/best: the best network as a folder that travels, made anew only where something has changed."""

import hashlib
import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from prefect import get_run_logger

from fer_tasks.errors import UserError
from fer_tasks.evaluation.calibration import balanced, calibrated
from fer_tasks.evaluation.confidence import confidence_figures, fit_confidence
from fer_tasks.storage import cells
from fer_tasks.storage.dataset import read_dataset, read_info
from fer_tasks.storage.files import read_array
from fer_tasks.storage.model_folder import KERAS, BadModelFolder, read_model_folder, write_model_folder
from flows.engine.code import code_digest
from flows.engine.own_process import call_in_own_process
from flows.grid.in_own_process import EXPORT_MODEL, PREDICT_SPLIT
from flows.grid.predictions import PredictedSplit, judged, network_id, predictions_of

PACKAGES = ("keras", "tensorflow", "tf2onnx", "onnx", "onnxruntime")
LICENCE = "MIT; the pictures that the network learnt from may set terms of their own"
COMPARED = 128  # validation pictures at most on which the exported network is run


class Provenance(NamedTuple):
    """Where a model's pictures come from, and how their faces were cut."""

    data: str  # its name
    crop: dict[str, Any]  # the settings of crop_faces


def read_provenance(raw: Path, faces: Path) -> Provenance:
    """Read it from the datasets of `download` and `crop_faces`. Raises IncompleteDataset."""
    source = read_info(raw)["settings"]
    name = source.get("kaggle") or Path(source["source"]).stem  # a path may name people
    return Provenance(name, read_info(faces)["settings"])


def write_best(cell: str, provenance: Provenance, models: Path, features: Path, threads: int) -> None:
    """Make models/best the folder of a trained cell, unless it is that already.

    The test split decides nothing here: its figures are told, and that is all. Where the network cannot be
    exported, the folder says why and a warning is logged.

    Raises:
        UserError: the cell's model.keras is missing or damaged.
    """
    about, folder = cells.read_cell(models / cell), models / cells.BEST
    if not cells.model_file(models / cell):
        raise cells.unreadable_model(models / cell, "it is missing")
    data = features / about["settings"]["recipe"]
    parts = [about, _sha256(models / cell / KERAS), network_id(about), read_info(data)["fingerprint"]]
    parts += [provenance, threads, code_digest(_describe, _export, EXPORT_MODEL, PREDICT_SPLIT)]
    inputs_digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    if _is_current(folder, inputs_digest):
        return
    info = {"inputs_digest": inputs_digest, **_describe(cell, about, provenance, models, features, threads)}
    onnx, how = _export(models / cell, data, threads)
    write_model_folder(folder, models / cell, onnx, {**info, "onnx": how})


def _is_current(folder: Path, inputs_digest: str) -> bool:
    try:
        return read_model_folder(folder).info.get("inputs_digest") == inputs_digest
    except BadModelFolder:
        return False


def _describe(
    cell: str, about: dict[str, Any], provenance: Provenance, models: Path, features: Path, threads: int
) -> dict[str, Any]:
    """The content of model.json, but for what the exported files add."""
    data = read_dataset(features / about["settings"]["recipe"])
    predictions = {
        name: judged(predictions_of([cell], PredictedSplit(split, models, features, threads))[cell], about)
        for name, split in (("validation", "val"), ("test", "test"))
        if split in set(data.manifest["split"])
    }
    validation, prior = predictions["validation"], about["prior"]
    confidence = fit_confidence(validation.y_true, validation.probabilities, prior)
    balance = {
        name: balanced(calibrated(predicted.probabilities, confidence.temperature, prior), prior)
        for name, predicted in predictions.items()
    }
    of_balanced = fit_confidence(validation.y_true, balance["validation"], prior, temperature=1.0)
    figures = {
        name: {
            "data": f"{provenance.data}, {name} split",
            "labels": about["settings"]["labels"],
            **confidence_figures(predicted.y_true, predicted.probabilities, confidence),
            "balanced": confidence_figures(predicted.y_true, balance[name], of_balanced),
        }
        for name, predicted in predictions.items()
    }
    unit = read_array(data.root / "X.npy").dtype != np.uint8
    return {
        "name": cell,
        "fingerprint": about["fingerprint"],
        "features": data.fingerprint,
        "labels": about["labels"],
        "recipe": about["recipe"],
        "crop": provenance.crop,
        "input": {"shape": about["input_shape"], "dtype": "float32", "range": [0, 1 if unit else 255]},
        "temperature": confidence.temperature,
        "doubt": confidence.doubt._asdict(),
        "conformal": confidence.conformal._asdict(),
        "prior": prior,
        "parameters": about["parameters"],
        "balanced": {
            "doubt": of_balanced.doubt._asdict(),
            "conformal": of_balanced.conformal._asdict(),
        },
        "figures": figures,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "licence": LICENCE,
    }


def _export(folder: Path, data: Path, threads: int) -> tuple[bytes | None, dict[str, Any]]:
    """The bytes of model.onnx, None if there are none, and what model.json says of it."""
    rows = np.flatnonzero(read_dataset(data).manifest["split"] == "val")
    compared = rows[np.linspace(0, len(rows) - 1, min(len(rows), COMPARED)).astype(int)]
    try:
        onnx, difference = call_in_own_process(
            EXPORT_MODEL, folder / KERAS, data / "X.npy", compared, threads=threads
        )
    except UserError as error:
        reason = " ".join(str(error).split())
        get_run_logger().warning(
            f"{folder.name} is not exported to ONNX, so `predict` cannot use it: {reason}"
        )
        return None, {"reason": reason}
    return onnx, {"max_difference": difference, "compared": len(compared)}


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
