"""Read and write `.cache/checkpoints/<cell>.npz`: the state of a cell in training."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from fer_tasks.errors import writing_to

ABOUT = "about"  # the entry with everything that is not an array


def write_checkpoint(file: Path, about: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Write a checkpoint atomically: a killed process leaves the old one or the complete new one.

    `about`: what JSON can hold; its `fingerprint` identifies the cell and all that its weights depend on.

    Raises:
        DiskError: the disk is full or cannot be written.
    """
    partial = file.with_name(f".{file.stem}.partial")
    with writing_to(file.parent):
        file.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as stream:
            np.savez(stream, **{ABOUT: np.array(json.dumps(about))}, **arrays)
        os.replace(partial, file)


def read_checkpoint(file: Path, fingerprint: str) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
    """Read a checkpoint as (about, arrays); None if it is missing, of another fingerprint, or damaged."""
    if not file.exists():
        return None
    try:
        with np.load(file) as entries:
            about = json.loads(str(entries[ABOUT]))
            if about["fingerprint"] != fingerprint:
                return None
            return about, {name: entries[name] for name in entries.files if name != ABOUT}
    except (BadZipFile, EOFError, KeyError, OSError, ValueError):
        return None


def drop_checkpoint(file: Path) -> None:
    """Remove a checkpoint if it exists."""
    file.unlink(missing_ok=True)


def drop_partial_checkpoints(folder: Path) -> None:
    """Remove the unfinished files of killed processes."""
    for file in folder.glob(".*.partial"):
        file.unlink()
