"""What tests of `predict` share: photos with faces, the command, and its rows."""

import csv
import io
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from skimage import data

from apps.predict.__main__ import main
from fer_tasks.labels import EXPRESSIONS
from fer_tasks.sources.sample.portraits import PARTS, Look, draw_face

ROOT = Path(__file__).parents[1]
COMMAND = [sys.executable, "-m", "apps.predict"]


def ask(model: Path, *given: object) -> int:
    """Run the command in this process; returns its exit status."""
    return main([*map(str, given), "--model", str(model)])


def rows_of(text: str) -> list[dict[str, str]]:
    return [*csv.DictReader(io.StringIO(text))]


def wait_for_rows(run: subprocess.Popen, folder: Path) -> Path:
    """The part of a run, when it has some rows."""
    deadline = time.monotonic() + 60
    while not (parts := [*folder.glob("*.part")]) or parts[0].stat().st_size < 2500:
        assert run.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    return parts[0]


def portrait(expression: str = "happy", side: int = 180, tone: float = 0.5) -> np.ndarray:
    """A drawn face: (side, side, 3) uint8 RGB."""
    face, _ = draw_face(expression, Look(tone, 1.0, 0.0, np.zeros((len(PARTS), 2))))
    return cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)


def group(*places: tuple[int, int, int], height: int = 300, width: int = 400) -> np.ndarray:
    """A photo with a face at each (row, column, side): (height, width, 3) uint8 RGB."""
    photo = cv2.resize(data.coffee(), (width, height))
    for i, (row, column, side) in enumerate(places):
        photo[row : row + side, column : column + side] = portrait(EXPRESSIONS[i % 7], side, i % 3 / 2)
    return photo


ONE, TWO = (60, 100, 180), (110, 10, 90)
PHOTO = group(ONE)


def saved(image: np.ndarray | Image.Image, form: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(buffer, form, **options)
    return buffer.getvalue()


def write_photo(path: Path, image: np.ndarray = PHOTO) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(saved(image, "JPEG" if path.suffix == ".jpg" else "PNG"))
    return path


def write_photos(folder: Path) -> Path:
    """A folder with one face, two faces and none, in a folder below; and with other files."""
    write_photo(folder / "a.jpg")
    write_photo(folder / "b ü 顔.png", group(TWO, ONE))
    write_photo(folder / "below" / "c.jpg", np.zeros((90, 120, 3), np.uint8))
    (folder / "notes.txt").write_text("no picture")
    (folder / ".hidden").write_text("no picture")
    (folder / "Thumbs.db").write_bytes(b"x")
    return folder


def bomb(side: int = 30_000) -> bytes:
    """A small PNG that says it has side x side px."""
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    stream = io.BytesIO(b"\x89PNG\r\n\x1a\n")
    stream.seek(0, 2)
    for name, content in ((b"IHDR", head), (b"IDAT", zlib.compress(bytes(10_000))), (b"IEND", b"")):
        body = name + content
        stream.write(struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body)))
    return stream.getvalue()
