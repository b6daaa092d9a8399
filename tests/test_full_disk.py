"""A disk that is full or cannot be written: one line that says where, and nothing half-written."""

import errno
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fer_tasks.errors import DiskError, UserError, as_user_error
from fer_tasks.settings import load_settings
from fer_tasks.storage import dataset, files
from fer_tasks.storage.checkpoints import write_checkpoint
from fer_tasks.storage.images import encode_png
from fer_tasks.storage.model_folder import write_model_folder
from flows.download import download
from testing.project_copy import change_params, copy_project
from tests.project import run

LARGE = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)


def write_array_of(folder: Path, data: bytes) -> None:
    files.write_array(folder / "gray48" / "X.npy", 2, [LARGE[None], LARGE[None]])


def write_best_of(folder: Path, data: bytes) -> None:
    (folder / "one").mkdir()
    (folder / "one" / "model.keras").write_bytes(data[:100_000])
    write_model_folder(folder / "best", folder / "one", None, {})


WRITERS = {
    "image": lambda folder, data: dataset.write_image(folder, "0" * 16, data),
    "table": lambda folder, data: files.write_table(folder / "t.csv", pd.DataFrame({"x": range(99_999)})),
    "page": lambda folder, data: files.write_bytes(folder / "data.html", data),
    "array": write_array_of,
    "best cell": write_best_of,
    "checkpoint": lambda folder, data: write_checkpoint(folder / "a.npz", {"fingerprint": "f"}, {"w": LARGE}),
}


@pytest.mark.parametrize("what", WRITERS)
def test_a_full_disk_is_told_with_its_folder(small_disk, what):
    with pytest.raises(DiskError, match=f"no room in {small_disk}.*: .* are free; make room and run again"):
        WRITERS[what](small_disk, encode_png(LARGE))


def test_what_could_not_be_written_leaves_the_old_file_and_no_rest(small_disk):
    files.write_text(small_disk / "manifest.csv", "old")
    with pytest.raises(DiskError):
        files.write_bytes(small_disk / "manifest.csv", bytes(200_000))
    assert [file.name for file in small_disk.iterdir()] == ["manifest.csv"]
    assert (small_disk / "manifest.csv").read_text() == "old"


def test_a_disk_that_is_read_only_is_told(small_disk):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(DiskError, match=f"{small_disk}.* cannot be written: Read-only file system"):
        dataset.write_image(small_disk, "0" * 16, b"x")


def test_whatever_meets_a_full_disk_is_told_and_a_fault_of_ours_is_not(small_disk):
    with pytest.raises(OSError) as caught, (small_disk / "x").open("wb") as file:
        file.write(bytes(200_000))
    assert "no room in ." in str(as_user_error(caught.value))
    for name in (5, b"models", None):  # a file's number, a name in bytes, none
        assert "no room in" in str(as_user_error(OSError(errno.ENOSPC, "No space left on device", name)))
    refused = as_user_error(PermissionError(13, "Permission denied", "models/best"))
    assert str(refused) == "models/best: Permission denied; change its permissions or its place"
    assert as_user_error(mistake := UserError("x")) is mistake
    for fault in (
        ValueError("x"),
        FileNotFoundError(2, "No such file", "x"),
        ConnectionRefusedError(111, "x"),
    ):
        assert as_user_error(fault) is None


@pytest.mark.slow
@pytest.mark.usefixtures("prefect")
def test_a_stage_that_fills_the_disk_ends_with_one_line(tmp_path, small_disk, server, monkeypatch):
    project = copy_project(tmp_path / "project")
    for k, expression in enumerate(("happy", "sad", "fear")):
        folder = project / "faces" / expression
        folder.mkdir(parents=True)
        (folder / f"{k}.png").write_bytes(encode_png(np.roll(LARGE[:200, :200], k)))
    change_params(project, download={"source": "faces"}, crop_faces={"mode": "whole"})
    monkeypatch.chdir(project)
    download(load_settings())
    (project / "data" / "faces").symlink_to(small_disk)
    done = run(project, "flows.crop_faces", **server)
    said = done.stdout + done.stderr
    assert done.returncode == 1 and "Traceback" not in said, said
    assert done.stderr.splitlines()[-1].startswith("crop_faces: no room in data/faces: more bytes are needed")
