"""Read and write the dataset layout: `images/`, `manifest.csv`, `rejected.csv` and, last, `dataset.json`.

data/<stage>/
  images/<first two of id>/<image_id>.<suffix>
  manifest.csv    one row an image kept; columns only grow from stage to stage
  rejected.csv    image_id, reason, detail: one row an image dropped at this stage
  dataset.json    stage, kept, rejected: {reason: n}, made_from: {name: print}, settings, fingerprint
"""

import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fer_tasks.errors import UserError, writing_to

# Read as text whatever they look like: an id such as 12e4567890123456 is no number.
TEXT_COLUMNS = tuple(
    "image_id pixels file label source source_split photo_phash parent_id landmarks transform text "
    "text_boxes engine group_id split reviewer reason detail copy_of suggestion rule other".split()
)
REJECTED_COLUMNS = ("image_id", "reason", "detail")
# The stage behind a folder that is not named as its stage.
MADE_BY = {"raw": "download", "faces": "crop_faces", "textfree": "drop_text"}


class IncompleteDataset(UserError):
    """A stage's folder has no `dataset.json`: the stage never ran, or was cut off."""


@dataclass(frozen=True)
class Dataset:
    """One stage's result as it lies on disk; `manifest["file"]` is relative to `root`."""

    root: Path
    manifest: pd.DataFrame
    rejected: pd.DataFrame
    info: dict[str, Any]

    @property
    def fingerprint(self) -> str:
        return self.info["fingerprint"]

    def is_made_from(self, other: "Dataset") -> bool:
        """Was it made from `other` as that is now?"""
        return other.fingerprint in self.info["made_from"].values()


def read_dataset(root: Path) -> Dataset:
    """Read a finished dataset. Raises IncompleteDataset, naming the stage that makes it."""
    if not (root / "dataset.json").exists():
        raise IncompleteDataset(f"{root} is missing or incomplete; `dvc repro {_stage(root)}` makes it")
    info = json.loads((root / "dataset.json").read_text())
    return Dataset(root, read_table(root / "manifest.csv"), read_table(root / "rejected.csv"), info)


def image_id(data: bytes) -> str:
    """The id of a picture: the first 16 hex digits of the SHA-256 of its file's bytes."""
    return hashlib.sha256(data).hexdigest()[:16]


def write_image(root: Path, image_id: str, data: bytes, suffix: str = ".png") -> str:
    """Write one image file into a dataset; returns its path relative to `root`."""
    file = f"images/{image_id[:2]}/{image_id}{suffix}"
    _write(root, file, data)
    return file


def empty_folder(folder: Path) -> None:
    """Make a folder empty, also one that is a link to another disk. Raises OSError where that is refused."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset.json").unlink(missing_ok=True)  # first: what is half empty is not whole
    for entry in folder.iterdir():
        shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()


def copy_images(source: Path, target: Path, files: Iterable[str]) -> None:
    """Copy image files, named relative to their dataset, from one dataset into another."""
    for file in files:
        _write(target, file, (source / file).read_bytes())


def _write(root: Path, file: str, data: bytes) -> None:
    with writing_to(root):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(data)


def write_dataset(
    root: Path,
    manifest: pd.DataFrame,
    rejected: pd.DataFrame,
    made_from: Mapping[str, str],
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """Write the tables and then `dataset.json`, so that its presence means that the rest is there.

    Rows are sorted by `image_id`: the same content gives the same files. Raises FileNotFoundError if an image
    of the manifest is not on disk. Returns what `dataset.json` holds.
    """
    root.mkdir(parents=True, exist_ok=True)
    missing = [file for file in manifest.get("file", []) if not (root / file).exists()]
    if missing:
        raise FileNotFoundError(f"{len(missing)} images of {root} are not there, such as {missing[0]}")
    rejected = rejected.reindex(columns=[*REJECTED_COLUMNS, *rejected.columns.difference(REJECTED_COLUMNS)])
    write_table(root / "manifest.csv", manifest.sort_values("image_id"))
    write_table(root / "rejected.csv", rejected.sort_values(["image_id", "detail"]))
    tables = (root / "manifest.csv").read_bytes() + (root / "rejected.csv").read_bytes()
    content = tables + json.dumps(dict(settings), sort_keys=True).encode()
    info = {
        "stage": _stage(root),
        "kept": len(manifest),
        "rejected": rejected["reason"].value_counts().sort_index().to_dict(),
        "made_from": dict(made_from),
        "settings": dict(settings),
        "fingerprint": image_id(content),
    }
    write_text(root / "dataset.json", json.dumps(info, indent=2) + "\n")
    return info


def write_array(path: Path, rows: int, blocks: Iterable[np.ndarray]) -> str:
    """Write blocks of rows as one .npy file of `rows` rows, never more than a block in memory.

    Returns the first 16 hex digits of the SHA-256 of its content. Raises ValueError where the blocks have
    another number of rows in all.
    """
    filled, digest, mode = 0, hashlib.sha256(), "wb"
    for block in blocks:
        data = np.ascontiguousarray(block).tobytes()
        # Not memory-mapped: where the disk is full, writing to a map kills the process.
        with writing_to(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open(mode) as file:
                file.write(data if mode == "ab" else _header(block.dtype, (rows, *block.shape[1:])) + data)
        filled, mode = filled + len(block), "ab"
        digest.update(data)
    if mode == "wb" or filled != rows:
        raise ValueError(f"{path}: {filled} rows came for {rows}")
    return digest.hexdigest()[:16]


def _header(dtype: np.dtype, shape: tuple[int, ...]) -> bytes:
    """How a .npy file of such an array begins."""
    descr, stream = np.lib.format.dtype_to_descr(dtype), io.BytesIO()
    header = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue()


def read_array(path: Path) -> np.ndarray:
    """A .npy file, memory-mapped: only the rows that are used are read."""
    return np.load(path, mmap_mode="r")


def read_table(path: Path) -> pd.DataFrame:
    """Read a CSV of ours; text columns are text (empty, never NaN) whatever they look like."""
    table = pd.read_csv(path, dtype=dict.fromkeys(TEXT_COLUMNS, str), keep_default_na=False, na_values=[""])
    text = table.columns.intersection(pd.Index(TEXT_COLUMNS))
    return table.assign(**{column: table[column].fillna("") for column in text})


def read_text(path: Path) -> str:
    """Read a text file that people edit. Raises UserError where it is missing or no UTF-8."""
    try:
        return path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: {error}") from None


def read_json(path: Path) -> Any:
    """What a JSON file of ours says; None where it is missing or damaged, as after a power cut."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a CSV in one step: a reader sees the old file or the whole new one."""
    write_text(path, table.to_csv(index=False, lineterminator="\n"))


def write_text(path: Path, text: str) -> None:
    """Write a text file in one step: a reader sees the old file or the whole new one."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file in one step: a reader sees the old file or the whole new one."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with writing_to(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.write_bytes(data)
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)


def image_files(manifest: pd.DataFrame, root: Path) -> dict[str, tuple[str, str]]:
    """The images of a manifest: {image id: (pixel hash, path)}; the hash says the content."""
    paths = f"{root}/" + manifest["file"]
    return dict(zip(manifest["image_id"], zip(manifest["pixels"], paths, strict=True), strict=True))


def _stage(root: Path) -> str:
    return "make_features" if root.parent.name == "features" else MADE_BY.get(root.name, root.name)
