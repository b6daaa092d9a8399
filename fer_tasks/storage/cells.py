"""Read and write trained cells: `models/<cell>/{train.log, model.keras, history.csv, cell.json}`.

cell.json is written last, so its presence means that the cell is complete. An ensemble has only cell.json.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from fer_tasks.errors import UserError
from fer_tasks.storage.files import write_bytes, write_table, write_text

LEADERBOARD = ["cell", "model", "recipe", "status", "reason", "epochs", "best_epoch", "parameters"]
LEADERBOARD += ["train_seconds", "val_accuracy", "val_loss", "note"]
ENSEMBLE = "ensemble"  # the leaderboard's `model` for an ensemble
BEST = "best"  # models/best: the chosen cell as a model's folder, at a path that does not change
LOG = "train.log"


class Trained(NamedTuple):
    """The result of a training run."""

    model: bytes  # a .keras file
    history: pd.DataFrame  # epoch (from 1), loss, accuracy, val_loss, val_accuracy


def read_cell(folder: Path) -> dict[str, Any] | None:
    """The content of cell.json; None if the cell is not finished."""
    file = folder / "cell.json"
    return json.loads(file.read_text()) if file.exists() else None


def model_file(folder: Path) -> Path | None:
    """The path of a cell's model file; None if there is no such file."""
    file = folder / "model.keras"
    return file if file.exists() else None


def weights_id(about: dict[str, Any]) -> str:
    """An id of a trained network's weights: its fingerprint, and the batch size that fitted in memory."""
    return f"{about['fingerprint']} {about['batch_size']}"


def is_ensemble(about: dict[str, Any]) -> bool:
    """Whether this content of cell.json describes an ensemble."""
    return "members" in about["settings"]


def is_trained(folder: Path, fingerprint: str) -> bool:
    """Whether the folder holds a trained cell with this fingerprint."""
    about = read_cell(folder)
    return bool(about) and about["status"] == "trained" and about["fingerprint"] == fingerprint


def leaderboard(models: Path, cells: Sequence[str]) -> pd.DataFrame:
    """The finished cells, best first: by validation accuracy, then by lowest validation loss; failed cells
    last. Columns: LEADERBOARD."""
    rows = [_row(about) for cell in cells if (about := read_cell(models / cell))]
    board = pd.DataFrame(rows, columns=LEADERBOARD)
    return board.sort_values(["val_accuracy", "val_loss"], ascending=[False, True], ignore_index=True)


def _row(about: dict[str, Any]) -> dict[str, Any]:
    settings = about["settings"]
    row = {name: about.get(name) for name in LEADERBOARD}
    if is_ensemble(about):
        return {**row, "model": ENSEMBLE, "recipe": ""}
    fine_tune = settings.get("fine_tune")
    epochs = settings["epochs"] + (fine_tune["epochs"] if fine_tune else 0)
    return {**row, "model": settings["model"], "recipe": settings["recipe"], "epochs": epochs}


def networks(board: pd.DataFrame) -> pd.DataFrame:
    """The rows of a leaderboard that are single networks."""
    return board[board["model"] != ENSEMBLE].reset_index(drop=True)


def read_history(folder: Path) -> pd.DataFrame:
    """The epochs of a cell so far, possibly none: epoch (from 1), loss, accuracy, val_loss, val_accuracy."""
    try:
        return pd.read_csv(folder / "history.csv")
    except FileNotFoundError:
        return pd.DataFrame()


def write_history(folder: Path, history: pd.DataFrame) -> None:
    """Write the epochs of a cell so far."""
    write_table(folder / "history.csv", history)


def clear_cell(folder: Path) -> None:
    """Remove a cell's files, except its log and subfolders that others made, such as .ipynb_checkpoints."""
    for file in folder.glob("*"):
        if file.name != LOG and not file.is_dir():
            file.unlink()


def write_cell(folder: Path, about: dict[str, Any], trained: Trained | None) -> None:
    """Replace a cell's files, all but its log.

    `trained` is None for a failed cell without a good epoch; `about` is the content of cell.json, with the
    reason of a failure.
    """
    clear_cell(folder)
    if trained:
        write_bytes(folder / "model.keras", trained.model)
        write_history(folder, trained.history)
    write_text(folder / "cell.json", json.dumps(about, indent=2) + "\n")


def unreadable_model(folder: Path, why: str) -> UserError:
    """The error for a trained cell whose model.keras cannot be read, with what to do about it."""
    fix = f"remove {folder}, and `dvc repro --force --single-item train` trains it again"
    return UserError(f"{folder / 'model.keras'} cannot be read ({why}); {fix}")


def begin_log(folder: Path, fingerprint: str) -> None:
    """Start a cell's log, or keep it if it already is of this fingerprint."""
    title = f"cell {folder.name}, fingerprint {fingerprint}\n"
    file = folder / LOG
    if not file.exists() or not file.read_text().startswith(title):
        write_text(file, title)


def log(folder: Path, text: str) -> None:
    """Add a line to a cell's log, with the time: `tail -f models/<cell>/train.log` follows it."""
    with (folder / LOG).open("a") as file:
        file.write(f"{datetime.now():%Y-%m-%d %H:%M:%S} {text}\n")


def archive_cells(models: Path, cell_archive: Path, fingerprints: Mapping[str, str]) -> list[str]:
    """Archive trained cells that the grid no longer has with this fingerprint; return their names.

    They move to `cell_archive/<cell>-<fingerprint>`. Untrained cells that are not in the grid are removed.
    `fingerprints`: those of the grid's cells, by name.
    """
    folders = [folder for folder in models.iterdir() if folder.is_dir()] if models.exists() else []
    moved = []
    for folder in (folder for folder in folders if folder.name != BEST):
        about = read_cell(folder)
        if about and about["status"] == "trained" and about["fingerprint"] != fingerprints.get(folder.name):
            _move(folder, cell_archive / f"{folder.name}-{about['fingerprint']}")
            moved.append(folder.name)
        elif folder.name not in fingerprints:
            shutil.rmtree(folder)
    return sorted(moved)


def restore_cells(models: Path, cell_archive: Path, fingerprints: Mapping[str, str]) -> list[str]:
    """Move archived cells with these fingerprints back to `models`; return their names, sorted."""
    archived = {name: cell_archive / f"{name}-{fingerprint}" for name, fingerprint in fingerprints.items()}
    restored = {name: folder for name, folder in archived.items() if read_cell(folder)}
    for name, folder in restored.items():
        _move(folder, models / name)
    return sorted(restored)


def _move(folder: Path, place: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(folder, place)  # works between disks, too
