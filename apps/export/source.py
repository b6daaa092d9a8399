"""What an export is made from, and what it says about itself."""

from pathlib import Path
from typing import Any, NamedTuple

from apps.export.calibrated_onnx import calibrated_onnx
from fer_tasks.evaluation.calibration import ConformalScores, conformal_quantile
from fer_tasks.storage.model_folder import read_model_folder

COVERAGE = 0.9  # of the sets of expressions that the page tells
KEPT = ("name", "fingerprint", "labels", "recipe", "crop", "input", "temperature", "prior", "doubt")


class Source(NamedTuple):
    """A model that is exported."""

    folder: Path
    onnx: bytes  # (n, M, N, C) float32 -> (n, 7) float32 final probabilities
    info: dict[str, Any]  # of its model.json
    about: dict[str, Any]  # the model.json of what is exported


def read_source(folder: Path) -> Source:
    """Read a model's folder. Raises BadModelFolder."""
    onnx, info = read_model_folder(folder)
    quantile = conformal_quantile(ConformalScores(**info["conformal"]), COVERAGE)
    about = {
        "model": f"{info['name']}@{info['fingerprint'][:8]}",
        **{key: info[key] for key in KEPT},
        "temperature_applied": True,  # the file's last layers are softmax(log p / temperature)
        "coverage": COVERAGE,
        "quantile": quantile,
        "licence": info.get("licence", ""),
    }
    return Source(folder, calibrated_onnx(onnx, info["temperature"], info["prior"]), info, about)
