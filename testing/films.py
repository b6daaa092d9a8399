"""Films made from the sample's portraits: panned, zoomed and turned, drawn with changing expressions, two
people who cross."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import matplotlib.cbook
import numpy as np
from PIL import Image
from skimage import data

from fer_tasks.sources.sample.portraits import EYES, PARTS, UNIT, Look, draw_face

WIDTH, HEIGHT = 640, 480
STILL = Look(0.3, 1.2, 0, np.zeros((len(PARTS), 2)))
CODECS = {".avi": "MJPG", ".mp4": "mp4v", ".mkv": "FFV1"}  # what OpenCV writes; FFV1 is lossless


def astronaut() -> np.ndarray:
    """Eileen Collins, (512, 512, 3) uint8 RGB."""
    return data.astronaut()


def admiral() -> np.ndarray:
    """Grace Hopper, (600, 512, 3) uint8 RGB."""
    with matplotlib.cbook.get_sample_data("grace_hopper.jpg") as file:
        return np.asarray(Image.open(file).convert("RGB"))


def moving(portrait: np.ndarray, n: int, speed: float = 1.0) -> Iterator[np.ndarray]:
    """n frames, (HEIGHT, WIDTH, 3) uint8 RGB, in which a portrait sways, comes nearer and turns."""
    for i in range(n):
        turn = 2 * np.pi * speed * i / 150
        x, y = WIDTH / 2 + 60 * np.sin(turn), HEIGHT / 2 + 20 * np.cos(turn)
        yield placed(portrait, x, y, 0.95 + 0.1 * np.sin(turn / 2), 8 * np.sin(turn / 3))


def acting(expressions: Iterable[str], each: int) -> Iterator[np.ndarray]:
    """Frames in which a drawn face shows one expression after another, each for `each` frames."""
    faces = {name: draw_face(name, STILL) for name in set(expressions)}
    scene = cv2.resize(data.coffee(), (WIDTH, HEIGHT))
    for name in expressions:
        yield from [set_in(scene, faces[name], 320, 200, 70)] * each


def crossing(n: int) -> Iterator[np.ndarray]:
    """n frames in which two drawn faces pass each other, one below the other."""
    people = {"happy": STILL._replace(mix=0), "neutral": STILL._replace(mix=1)}
    drawn = [draw_face(*person) for person in people.items()]
    scene = cv2.resize(data.coffee(), (WIDTH, HEIGHT))
    for i in range(n):
        x = 110 + 420 * i / max(n - 1, 1)
        yield set_in(set_in(scene, drawn[0], x, 100, 48), drawn[1], WIDTH - x, 330, 48)


def placed(portrait: np.ndarray, x: float, y: float, scale: float, degrees: float = 0) -> np.ndarray:
    """A frame with the middle of a portrait at x, y; its edges are smeared over the rest."""
    middle = np.array(portrait.shape[1::-1]) / 2
    place = cv2.getRotationMatrix2D(middle.tolist(), degrees, scale)
    place[:, 2] += np.array([x, y]) - middle
    return cv2.warpAffine(portrait, place, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE)


def set_in(
    scene: np.ndarray, face: tuple[np.ndarray, np.ndarray], x: float, y: float, unit: float
) -> np.ndarray:
    """A scene with a face that `draw_face` drew: the eyes are `unit` px apart, their middle is at x, y."""
    tile, head = face
    middle = EYES.mean(axis=0)
    place = cv2.getRotationMatrix2D(middle.tolist(), 0, unit / UNIT)
    place[:, 2] += np.array([x, y]) - middle
    layer = cv2.warpAffine(tile, place, scene.shape[1::-1], borderMode=cv2.BORDER_REFLECT)
    mask = cv2.warpAffine(head, place, scene.shape[1::-1])[:, :, None]
    return (scene * (1 - mask) + layer * mask).astype(np.uint8)


def write(path: Path, frames: Iterable[np.ndarray], fps: float = 25) -> Path:
    """Write frames by OpenCV, in the codec for the file's suffix."""
    writer = None
    for frame in frames:
        if writer is None:
            size, codec = frame.shape[1::-1], cv2.VideoWriter.fourcc(*CODECS[path.suffix])
            writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, codec, fps, size)
        writer.write(frame[:, :, ::-1])
    writer.release()
    return path


def turned(mp4: bytes) -> bytes:
    """An MP4 file whose header says that it is to be shown turned by 90°, as a telephone writes it."""
    at = mp4.index(b"tkhd") + 4 + 40  # the matrix, after version, times, id and layer
    turn = [0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30]
    matrix = b"".join(number.to_bytes(4, "big", signed=True) for number in turn)
    return mp4[:at] + matrix + mp4[at + len(matrix) :]
