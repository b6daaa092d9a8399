"""Read and write tables, arrays, JSON and text. Text and tables are written atomically; ids are text."""

import hashlib
import io
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fer_tasks.errors import UserError, writing_to

if TYPE_CHECKING:  # pandas takes time to import, which who predicts must not wait for
    import pandas as pd

# Always read as text: an id such as 12e4567890123456 is not a number.
TEXT_COLUMNS = tuple(
    "image_id pixels file label source source_split photo_phash parent_id landmarks transform text "
    "text_boxes engine group_id split reviewer reason detail copy_of suggestion rule other".split()
)


def write_array(path: Path, rows: int, blocks: Iterable[np.ndarray]) -> str:
    """Write blocks of rows as one .npy file of `rows` rows, with one block in memory at a time.

    `blocks`: (n, ...) arrays of one dtype and row shape. Returns the first 16 hex digits of the SHA-256 of
    the rows.

    Raises:
        ValueError: the blocks do not have `rows` rows in all.
        DiskError: the disk is full or cannot be written.
    """
    filled, digest, mode = 0, hashlib.sha256(), "wb"
    for block in blocks:
        data = np.ascontiguousarray(block).tobytes()
        # Not memory-mapped: on a full disk, writing to a map kills the process.
        with writing_to(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open(mode) as file:
                file.write(data if mode == "ab" else _header(block.dtype, (rows, *block.shape[1:])) + data)
        filled, mode = filled + len(block), "ab"
        digest.update(data)
    if mode == "wb" or filled != rows:
        raise ValueError(f"{path}: {filled} rows, not {rows}")
    return digest.hexdigest()[:16]


def _header(dtype: np.dtype, shape: tuple[int, ...]) -> bytes:
    """The header of a .npy file with an array of this dtype and shape."""
    descr, stream = np.lib.format.dtype_to_descr(dtype), io.BytesIO()
    header = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue()


def read_array(path: Path) -> np.ndarray:
    """Memory-map a .npy file: only the rows that are used are read."""
    return np.load(path, mmap_mode="r")


def read_table(path: Path) -> "pd.DataFrame":
    """Read a CSV file of this project; TEXT_COLUMNS are text, with "" for missing values."""
    import pandas as pd

    table = pd.read_csv(path, dtype=dict.fromkeys(TEXT_COLUMNS, str), keep_default_na=False, na_values=[""])
    text = table.columns.intersection(pd.Index(TEXT_COLUMNS))
    return table.assign(**{column: table[column].fillna("") for column in text})


def read_text(path: Path) -> str:
    """Read a text file that people edit.

    Raises:
        UserError: the file is missing or not UTF-8.
    """
    try:
        return path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: {error}") from None


def read_json(path: Path) -> Any:
    """Read a JSON file of this project; None if it is missing or damaged, as after a power cut."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def write_table(path: Path, table: "pd.DataFrame") -> None:
    """Write a CSV file atomically; raises DiskError as `write_bytes`."""
    write_text(path, table.to_csv(index=False, lineterminator="\n"))


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically; raises DiskError as `write_bytes`."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically: a reader sees the old file or the complete new one.

    Raises:
        DiskError: the disk is full or cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with writing_to(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.write_bytes(data)
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
