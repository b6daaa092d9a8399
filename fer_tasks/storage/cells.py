"""Read and write trained cells: `models/<cell>/{train.log, model.keras, history.csv, cell.json}`, cell.json
last; an ensemble has cell.json alone."""

import json
import shutil
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from fer_tasks.errors import writing_to
from fer_tasks.storage.dataset import empty_folder
from fer_tasks.storage.files import write_bytes, write_table, write_text

LEADERBOARD = ["cell", "model", "recipe", "status", "reason", "epochs", "best_epoch", "parameters"]
LEADERBOARD += ["train_seconds", "val_accuracy", "val_loss", "note"]
ENSEMBLE = "ensemble"  # the leaderboard's `model` of several cells that answer together
BEST = "best"  # models/best: a copy of the chosen cell, at a path that does not change
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
    """The file of a cell's model; None if it has none."""
    file = folder / "model.keras"
    return file if file.exists() else None


def weights_id(about: dict[str, Any]) -> str:
    """Identifies a trained network's weights: its fingerprint, and the batch size that fitted in memory."""
    return f"{about['fingerprint']} {about['batch_size']}"


def is_ensemble(about: dict[str, Any]) -> bool:
    """Does this content of cell.json describe an ensemble?"""
    return "members" in about["settings"]


def is_trained(folder: Path, fingerprint: str) -> bool:
    """Is the cell with this fingerprint already trained?"""
    about = read_cell(folder)
    return bool(about) and about["status"] == "trained" and about["fingerprint"] == fingerprint


def leaderboard(models: Path, cells: Sequence[str]) -> pd.DataFrame:
    """The finished cells, best first: by highest validation accuracy, then lowest loss; failed cells last."""
    rows = [_row(about) for cell in cells if (about := read_cell(models / cell))]
    board = pd.DataFrame(rows, columns=LEADERBOARD)
    return board.sort_values(["val_accuracy", "val_loss"], ascending=[False, True], ignore_index=True)


def _row(about: dict[str, Any]) -> dict[str, Any]:
    settings = about["settings"]
    same = {name: about.get(name) for name in LEADERBOARD}
    if is_ensemble(about):
        return {**same, "model": ENSEMBLE, "recipe": ""}
    tuned = settings.get("fine_tune")
    epochs = settings["epochs"] + (tuned["epochs"] if tuned else 0)
    return {**same, "model": settings["model"], "recipe": settings["recipe"], "epochs": epochs}


def networks(board: pd.DataFrame) -> pd.DataFrame:
    """The rows of a leaderboard that are single networks."""
    return board[board["model"] != ENSEMBLE].reset_index(drop=True)


def read_history(folder: Path) -> pd.DataFrame:
    """The epochs of a cell so far, none or more: epoch (from 1), loss, accuracy, val_loss, val_accuracy."""
    try:
        return pd.read_csv(folder / "history.csv")
    except FileNotFoundError:
        return pd.DataFrame()


def write_history(folder: Path, history: pd.DataFrame) -> None:
    """Write the epochs of a cell so far."""
    write_table(folder / "history.csv", history)


def clear_cell(folder: Path) -> None:
    """Remove a cell's files except its log and folders that are not its own, such as .ipynb_checkpoints."""
    for file in folder.glob("*"):
        if file.name != LOG and not file.is_dir():
            file.unlink()


def write_cell(folder: Path, about: dict[str, Any], trained: Trained | None) -> None:
    """Replace a cell's files, all but its log.

    `trained` is None for a failed cell without a good epoch; `about` says why it failed.
    """
    clear_cell(folder)
    if trained:
        write_bytes(folder / "model.keras", trained.model)
        write_history(folder, trained.history)
    write_text(folder / "cell.json", json.dumps(about, indent=2) + "\n")


def write_best(models: Path, cell: str) -> None:
    """Make models/best a copy of a trained cell."""
    with writing_to(models):
        empty_folder(models / BEST)
        for file in (models / cell).iterdir():
            if file.is_file():  # shutil.copytree would hide that the disk is full
                shutil.copyfile(file, models / BEST / file.name)


def begin_log(folder: Path, fingerprint: str) -> None:
    """Start the log of a cell, or continue it if it has this fingerprint."""
    title = f"cell {folder.name}, fingerprint {fingerprint}\n"
    file = folder / LOG
    if not file.exists() or not file.read_text().startswith(title):
        write_text(file, title)


def log(folder: Path, text: str) -> None:
    """Add a line to a cell's log, with the time: `tail -f models/<cell>/train.log` follows it."""
    with (folder / LOG).open("a") as file:
        file.write(f"{datetime.now():%Y-%m-%d %H:%M:%S} {text}\n")


def archive_cells(models: Path, cell_archive: Path, fingerprints: Mapping[str, str]) -> list[str]:
    """Move trained cells that are not in the grid, or have another fingerprint there, to
    `cell_archive/<cell>-<fingerprint>`; return their names.

    `fingerprints`: the grid's, by name. Untrained cells that are not in the grid are removed.
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
    """Move archived cells with these fingerprints back to `models`; return their names."""
    archived = {name: cell_archive / f"{name}-{fingerprint}" for name, fingerprint in fingerprints.items()}
    restored = {name: folder for name, folder in archived.items() if read_cell(folder)}
    for name, folder in restored.items():
        _move(folder, models / name)
    return sorted(restored)


def _move(folder: Path, place: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(folder, place)  # from one disk to another, too
