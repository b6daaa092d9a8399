"""Read and write `.cache/checkpoints/<cell>.npz`: how far a cell is that is not done yet."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from fer_tasks.errors import writing_to

ABOUT = "about"  # the entry with what is no array


def write_checkpoint(file: Path, about: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Write a checkpoint in one step: a process that is killed leaves the old one or the whole new one.

    `about` is JSON and says by its `fingerprint` what it is a checkpoint of.
    """
    partial = file.with_name(f".{file.stem}.partial")
    with writing_to(file.parent):
        file.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as stream:
            np.savez(stream, **{ABOUT: np.array(json.dumps(about))}, **arrays)
        os.replace(partial, file)


def read_checkpoint(file: Path, fingerprint: str) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
    """What was written, or None where there is none of this fingerprint, or a power cut left half of one."""
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
    """Remove a checkpoint, where there is one."""
    file.unlink(missing_ok=True)


def drop_partial_checkpoints(folder: Path) -> None:
    """Remove what a killed process had not finished."""
    for file in folder.glob(".*.partial"):
        file.unlink()
