"""Read and write the dataset layout: `images/`, `manifest.csv`, `rejected.csv` and, last, `dataset.json`.

data/<stage>/
  images/<first two digits of the id>/<image_id>.<suffix>      of `raw` and `faces`
  manifest.csv    a row for each image kept; columns only grow from stage to stage. `file` is relative to this
                  folder: `textfree` and `clean` have no images of their own, and name those of `../faces`
  rejected.csv    a row for each image dropped at this stage: image_id, reason, detail
  dataset.json    stage, kept, rejected: {reason: n}, made_from: {folder: fingerprint}, settings, fingerprint
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from fer_tasks.errors import UserError, writing_to
from fer_tasks.labels import groups_among
from fer_tasks.storage.files import read_table, write_table, write_text

REJECTED_COLUMNS = ("image_id", "reason", "detail")
STAGES = ("raw", "faces", "textfree", "clean")  # the folders of data/ that pictures pass through
# The stage that makes a folder of another name.
MADE_BY = {"raw": "download", "faces": "crop_faces", "textfree": "drop_text"}


class IncompleteDataset(UserError):
    """A stage's folder has no `dataset.json`: the stage did not run, or was interrupted."""


@dataclass(frozen=True)
class Dataset:
    """A stage's result on disk."""

    root: Path
    manifest: pd.DataFrame  # image_id, file (relative to `root`) and more
    rejected: pd.DataFrame  # REJECTED_COLUMNS and more
    info: dict[str, Any]  # the content of dataset.json

    @property
    def fingerprint(self) -> str:
        return self.info["fingerprint"]

    def is_made_from(self, other: "Dataset") -> bool:
        """Whether it was made from the present version of `other`."""
        return other.fingerprint in self.info["made_from"].values()

    def image_paths(self, rows: pd.DataFrame | None = None) -> pd.Series:
        """The path of the image of each row of the manifest, or of some `rows` of it, str.

        Raises:
            IncompleteDataset: the images are those of another dataset, which is missing or has changed since.
        """
        files = (self.manifest if rows is None else rows)["file"]
        paths = files.map(lambda file: str(image_path(self.root, file)))
        if len(paths) and (owner := Path(paths.iloc[0]).parents[2]) != image_path(self.root, ""):
            self._check_owner(owner)
        return paths

    def _check_owner(self, owner: Path) -> None:
        if not (owner / "dataset.json").exists():
            fix = f"run `dvc pull {owner}`, or `dvc repro {_stage(self.root)}`"
            raise IncompleteDataset(f"the images of {self.root} are in {owner}, which is incomplete; {fix}")
        if read_info(owner)["fingerprint"] not in self.info["made_from"].values():
            fix = f"run `dvc repro {_stage(self.root)}`"
            raise IncompleteDataset(f"{self.root} was made from another {owner} than there is now; {fix}")


def read_dataset(root: Path) -> Dataset:
    """Read a finished dataset.

    Raises:
        IncompleteDataset: the dataset is missing or incomplete; the message names the stage to run.
    """
    info = read_info(root)
    return Dataset(root, read_table(root / "manifest.csv"), read_table(root / "rejected.csv"), info)


def read_with_groups(root: Path) -> Dataset:
    """As `read_dataset`, with the columns `group_…` of the source as they stand there: text, "" where a value
    is missing."""
    dataset = read_dataset(root)
    names = groups_among(dataset.manifest)
    if not names:
        return dataset
    text = pd.read_csv(root / "manifest.csv", usecols=names, dtype=str, keep_default_na=False)
    return replace(dataset, manifest=dataset.manifest.assign(**text[names]))


def read_info(root: Path) -> dict[str, Any]:
    """The content of a finished dataset's `dataset.json`.

    Raises:
        IncompleteDataset: as `read_dataset`.
    """
    if not (root / "dataset.json").exists():
        raise IncompleteDataset(f"{root} is missing or incomplete; run `dvc repro {_stage(root)}`")
    return json.loads((root / "dataset.json").read_text())


def image_id(data: bytes) -> str:
    """The id of a picture: the first 16 hex digits of the SHA-256 of its file's bytes."""
    return hashlib.sha256(data).hexdigest()[:16]


def write_image(root: Path, image_id: str, data: bytes, suffix: str = ".png") -> str:
    """Write one image file into a dataset; return its path relative to `root`.

    Raises:
        DiskError: the disk is full or cannot be written.
    """
    file = f"images/{image_id[:2]}/{image_id}{suffix}"
    with writing_to(root):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(data)
    return file


def empty_folder(folder: Path) -> None:
    """Empty a folder, also one that is a link to another disk. Raises OSError if that is not permitted."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset.json").unlink(missing_ok=True)  # first: a half-emptied dataset is incomplete
    for entry in folder.iterdir():
        shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()


def image_path(root: Path, file: str) -> Path:
    """The path of an image that the manifest in `root` names, also if `root` is a link to another disk."""
    return Path(os.path.normpath(root / file))


def named_from(target: Path, source: Path, files: pd.Series) -> list[str]:
    """What a manifest in `target` calls images that the one in `source` calls `files`."""
    way = Path(os.path.relpath(source, target)).as_posix()
    return [os.path.normpath(f"{way}/{file}") for file in files]


def write_dataset(
    root: Path,
    manifest: pd.DataFrame,
    rejected: pd.DataFrame,
    made_from: Mapping[str, str],
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """Write the tables, then `dataset.json`: its presence means that the dataset is complete.

    Rows are sorted by `image_id`, so the same content gives the same files. `made_from`: {folder:
    fingerprint} of the datasets that it was made from. Returns the content of `dataset.json`.

    Raises:
        FileNotFoundError: an image of the manifest is not on disk.
        DiskError: the disk is full or cannot be written.
    """
    root.mkdir(parents=True, exist_ok=True)
    missing = [file for file in manifest.get("file", []) if not image_path(root, file).exists()]
    if missing:
        raise FileNotFoundError(f"{len(missing)} images of {root} are missing, such as {missing[0]}")
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


def image_files(dataset: Dataset, rows: pd.DataFrame | None = None) -> dict[str, tuple[str, str]]:
    """The images of a dataset, or of some `rows` of its manifest: {image_id: (hash of the pixels, path)}.

    Raises:
        IncompleteDataset: as `Dataset.image_paths`.
    """
    rows = dataset.manifest if rows is None else rows
    contents = zip(rows["pixels"], dataset.image_paths(rows), strict=True)
    return dict(zip(rows["image_id"], contents, strict=True))


def _stage(root: Path) -> str:
    return "make_features" if root.parent.name == "features" else MADE_BY.get(root.name, root.name)
