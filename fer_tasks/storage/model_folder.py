"""A model that travels: a folder with `model.keras`, `model.onnx` and, last, `model.json`; using it takes
nothing else.

model.json
  schema             SCHEMA; another one is refused
  inputs_digest      of all that the folder was made from
  name, fingerprint  of the trained cell
  labels             the expressions, in the order of the outputs
  recipe             steps, for recipes.make_transform
  crop               mode, max_side, min_score, min_face, margin, size: how faces were found and cut
  input              shape (M, N, C), dtype, range [0, 1] or [0, 255]
  temperature        probabilities are softmax(log p / T)
  doubt              threshold: an answer of less confidence is uncertain; answered, accuracy: on validation
  conformal          scores, n: see calibration.conformal_quantile
  parameters         how many weights it has
  prior              the share of each expression in what the network learnt from; 0 is never answered
  balanced           doubt, conformal: of answers where each expression counts alike
  figures            validation, test: data, faces, accuracy with its 95 % interval, calibration
  onnx               sha256, max_difference from model.keras; or reason, where there is no model.onnx
  keras              sha256
  versions, licence  of what made it
"""

import hashlib
import json
import math
import shutil
from pathlib import Path
from typing import Any, NamedTuple

from fer_tasks.errors import UserError, writing_to
from fer_tasks.labels import EXPRESSIONS
from fer_tasks.storage.files import write_bytes, write_text

PRETRAINED = Path(__file__).parents[2] / "pretrained"  # the network that this program has, to begin from
BACKBONE = "pretrained"  # its name as the option `backbone` of a cell
BRING_BACK = "`git checkout -- pretrained` brings back the one that came with this program"
SCHEMA = 2  # 1 had no prior
KERAS, ONNX, INFO = "model.keras", "model.onnx", "model.json"
FIELDS: dict[str, Any] = {  # of model.json: what using a model takes
    "name": str,
    "fingerprint": str,
    "labels": list,
    "recipe": list,
    "crop": {"mode": str, "max_side": int, "min_score": float, "min_face": int, "margin": float, "size": int},
    "input": {"shape": list, "dtype": str, "range": list},
    "temperature": float,
    "doubt": {"threshold": float},
    "conformal": {"scores": list, "n": int},
    "prior": list,
    "balanced": {"doubt": {"threshold": float}, "conformal": {"scores": list, "n": int}},
    "figures": dict,
    "onnx": dict,
    "keras": dict,
}


class BadModelFolder(UserError):
    """A folder is no model that can be used."""


class ModelFolder(NamedTuple):
    """A model as it was read."""

    onnx: bytes  # inputs as `info["input"]` says -> (n, 7) float32 probabilities
    info: dict[str, Any]  # model.json


def write_model_folder(folder: Path, cell: Path, onnx: bytes | None, info: dict[str, Any]) -> None:
    """Make `folder` the model of a trained cell: copies of its files, model.onnx and, last, model.json.

    `info` lacks `schema` and the digests of the files, which are added; without `onnx` it says why.
    """
    from fer_tasks.storage.dataset import empty_folder  # here: who only reads must not wait for pandas

    with writing_to(folder):
        empty_folder(folder)
        for file in cell.iterdir():
            if file.is_file():  # shutil.copytree would hide that the disk is full
                shutil.copyfile(file, folder / file.name)
    digests = {"keras": {"sha256": _sha256((folder / KERAS).read_bytes())}}
    if onnx is not None:
        write_bytes(folder / ONNX, onnx)
        digests["onnx"] = {"sha256": _sha256(onnx), **info["onnx"]}
    content = {"schema": SCHEMA, **info, **digests}
    write_text(folder / INFO, json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_model_folder(folder: Path) -> ModelFolder:
    """Read a model to use it.

    Raises:
        BadModelFolder: there is no such folder, a file is missing or damaged, model.json is of a newer
            schema, of another network or of other labels, or the network could not be exported.
    """
    if not folder.is_dir():
        made = "`dvc repro train` makes models/best, and `dvc pull models` gets it where it was made before"
        raise BadModelFolder(f"there is no folder {folder} of a model; {made}")
    info = read_model_info(folder)
    if "reason" in info["onnx"]:
        raise BadModelFolder(f"{folder} has no {ONNX}, which predicting takes: {info['onnx']['reason']}")
    onnx = _read_whole(folder, ONNX, info["onnx"])
    if not (folder / KERAS).is_file():
        raise BadModelFolder(f"{folder} has no {KERAS}; copy the whole folder")
    return ModelFolder(onnx, info)


def read_pretrained(without: str) -> ModelFolder:
    """Read PRETRAINED. `without`: the setting that needs none, for the message.

    Raises:
        BadModelFolder: it is missing, damaged or of another schema.
    """
    try:
        if not PRETRAINED.is_dir():
            raise BadModelFolder(f"there is no folder {PRETRAINED}")
        return read_model_folder(PRETRAINED)
    except BadModelFolder as error:
        raise BadModelFolder(f"{error}; {BRING_BACK}; {without} needs none") from None


def read_keras(folder: Path) -> tuple[Path, dict[str, Any]]:
    """The model.keras of a folder, whole, and the content of model.json: to train it further.

    Raises:
        BadModelFolder: as `read_model_info`, or model.keras is missing, damaged or of another network.
    """
    if not folder.is_dir():
        raise BadModelFolder(f"there is no folder {folder} of a model")
    info = read_model_info(folder)
    _read_whole(folder, KERAS, info["keras"])
    return folder / KERAS, info


def read_model_info(folder: Path) -> dict[str, Any]:
    """The content of model.json, also of a network that could not be exported.

    Raises:
        BadModelFolder: it is missing or damaged, of another schema or of other labels.
    """
    file = folder / INFO
    try:
        info = json.loads(_read(folder, INFO))
    except ValueError as error:
        raise BadModelFolder(f"{file} is damaged ({error}); copy it once more") from None
    schema = info.get("schema") if isinstance(info, dict) else None
    if not isinstance(schema, int) or schema < 1:
        raise BadModelFolder(f"{file} does not describe a model: it has no schema")
    if schema > SCHEMA:
        fix = "a newer version of this program reads it"
        raise BadModelFolder(f"{file} has schema {schema}, and this program knows {SCHEMA}; {fix}")
    if schema < SCHEMA:
        fix = "`dvc repro train` makes it anew"
        raise BadModelFolder(f"{file} has schema {schema}, of a former version of this program; {fix}")
    if fault := _fault(info, FIELDS, ""):
        raise BadModelFolder(f"{file} is damaged: {fault}; copy it once more")
    if info["labels"] != [*EXPRESSIONS]:
        known = ", ".join(EXPRESSIONS)
        raise BadModelFolder(f"{file}: its labels are {', '.join(map(str, info['labels']))}, not {known}")
    if not 0 < info["temperature"] < math.inf:
        raise BadModelFolder(f"{file} is damaged: temperature {info['temperature']}; copy it once more")
    return info


def _fault(value: Any, field: Any, name: str) -> str:
    """What is wrong with a value of model.json, or ""."""
    if not isinstance(field, dict):
        kinds = (int, float) if field is float else field
        right = isinstance(value, kinds) and not isinstance(value, bool)
        return "" if right else f"{name} is not of type {field.__name__}"
    if not isinstance(value, dict):
        return f"{name} is not of type dict"
    for key, inner in field.items():
        path = f"{name}.{key}".lstrip(".")
        if key not in value:
            return f"{path} is missing"
        if fault := _fault(value[key], inner, path):
            return fault
    return ""


def _read_whole(folder: Path, name: str, about: dict[str, Any]) -> bytes:
    """A file whose `sha256` model.json says."""
    data = _read(folder, name)
    if _sha256(data) != about.get("sha256"):
        raise BadModelFolder(
            f"{folder / name} is damaged or of another network than {INFO}; copy the whole folder"
        )
    return data


def _read(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except FileNotFoundError:
        raise BadModelFolder(f"{folder} has no {name}; copy the whole folder") from None
    except OSError as error:
        raise BadModelFolder(f"{folder / name} cannot be read: {error.strerror}") from None


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
