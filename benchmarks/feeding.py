"""Pictures per second into training, compared with `ImageDataGenerator.flow_from_directory` of Keras, which
the 2021 project used: for the same files, plain and augmented, in the same run.

python -m benchmarks.feeding FOLDER     # FOLDER: faces in class folders
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
import tensorflow as tf
from keras.src.legacy.preprocessing.image import ImageDataGenerator

from fer_tasks.recipes import transform_all
from fer_tasks.storage.files import read_array, write_array
from fer_tasks.storage.images import read_image
from fer_tasks.training.augmentation import SETS
from fer_tasks.training.feeding import Pictures, Rows, training_batches

BATCH = 32
LIGHT = SETS["light"]
IN_2021 = {  # the same augmentations as LIGHT, as that class names them
    "horizontal_flip": True,
    "rotation_range": LIGHT.rotation,
    "width_shift_range": LIGHT.shift,
    "height_shift_range": LIGHT.shift,
    "zoom_range": [*LIGHT.scale],
    "brightness_range": (1 - LIGHT.brightness, 1 + LIGHT.brightness),
    "fill_mode": "reflect",
}


def of_2021(folder: Path, side: int, augmented: bool) -> Callable[[], Iterator[int]]:
    """Return a function that runs an epoch by Keras and yields the sizes of its batches."""
    flow = ImageDataGenerator(rescale=1 / 255, **(IN_2021 if augmented else {})).flow_from_directory(
        folder, (side, side), color_mode="grayscale", batch_size=BATCH, seed=1
    )
    return lambda: (len(flow[i][0]) for i in range(len(flow)))


def ours(pictures: Pictures, augmented: bool) -> Callable[[], Iterator[int]]:
    """Return a function that runs an epoch by tf.data and yields the sizes of its batches."""
    batches = training_batches(pictures, SETS["light" if augmented else "none"], seed=1, epoch=0)
    return lambda: (len(x) for x, _ in batches.take(pictures.steps))


def pack(folder: Path, side: int, target: Path) -> Pictures:
    """Write the files as one array on disk, as `make_features` does once."""
    classes = sorted(path for path in folder.iterdir() if path.is_dir())
    files = {file: i for i, name in enumerate(classes) for file in sorted(name.iterdir())}
    steps = [{"op": "gray"}, {"op": "resize", "size": side}, {"op": "rescale"}]
    blocks = (transform_all([read_image(file)], steps) for file in files)
    write_array(target, len(files), blocks)
    y = np.eye(len(classes), dtype=np.float32)[list(files.values())]
    return Pictures(Rows(read_array(target), np.arange(len(files))), y, BATCH)


def rate(epoch: Callable[[], Iterator[int]]) -> tuple[float, float]:
    """Pictures per second, and CPU ms per picture, of an epoch."""
    start, cpu = time.perf_counter(), time.process_time()
    n = sum(epoch())
    return n / (time.perf_counter() - start), 1000 * (time.process_time() - cpu) / n


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.feeding", description=__doc__)
    parser.add_argument("folder", type=Path, help="faces in class folders")
    parser.add_argument("--side", type=int, default=150, help="px of the model's input")
    parser.add_argument("--rounds", type=int, default=5, help="epochs of each loader; the best counts")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        start = time.perf_counter()
        pictures = pack(arguments.folder, arguments.side, Path(temporary, "X.npy"))
        packed = time.perf_counter() - start
        print(f"{len(pictures.x)} pictures, {arguments.side} px, grey; packed once in {packed:.1f} s")
        figures = compare(arguments.folder, arguments.side, pictures, arguments.rounds)
    print(json.dumps({**figures, "pack_s": round(packed, 2)}))


def compare(folder: Path, side: int, pictures: Pictures, rounds: int) -> dict[str, float]:
    """Time both loaders in turn; print a table."""
    figures = {}
    print(f"{'':24}{'pictures/s':>12}{'CPU ms':>9}{'ratio':>8}")
    for augmented in (False, True):
        epochs = of_2021(folder, side, augmented), ours(pictures, augmented)
        rates = [[rate(epoch) for epoch in epochs] for _ in range(rounds)]
        (old, old_ms), (new, new_ms) = (max(each) for each in zip(*rates, strict=True))
        suffix, name = ("_augmented", "augmented") if augmented else ("", "plain")
        print(f"{'flow_from_directory, ' + name:24}{old:12,.0f}{old_ms:9.3f}")
        print(f"{'ours, ' + name:24}{new:12,.0f}{new_ms:9.3f}{new / old:8.1f}", flush=True)
        figures[f"ratio{suffix}"] = round(new / old, 2)
        figures |= {f"per_s_2021{suffix}": round(old), f"per_s{suffix}": round(new)}
    return figures


if __name__ == "__main__":
    main()
