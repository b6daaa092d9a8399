"""Test trained cells on all 3,589 pictures of FER2013's private test split, as published figures do: with
repeated pictures and those under two labels, which `download` rejects.

python -m benchmarks.fer2013 SOURCE [--models models] [CELL ...]
"""

import argparse
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
from fer_tasks.evaluation.scores import accuracy_interval, scores
from fer_tasks.labels import EXPRESSIONS
from fer_tasks.models import load_model
from fer_tasks.recipes import make_transform
from fer_tasks.sources import fer2013, folder
from fer_tasks.storage.cells import read_cell
from fer_tasks.storage.files import write_bytes
from fer_tasks.storage.images import encode_png, read_image
from fer_tasks.training.fit import predict


def pictures_of(
    source: Path, cache: Path, splits: Sequence[str] = ("train", "val", "test")
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """FER2013's pictures of these splits, (n, 48, 48, 3) uint8, their classes, (n,) int, and their splits,
    (n,) str.

    `source`: a folder with fer2013.csv, or of class folders. `cache`: where the table's pictures are written.
    """
    if table := fer2013.pixel_table(source):
        listing = fer2013.list_pictures(
            table, cache, lambda path, pixels: write_bytes(path, encode_png(pixels))
        )
    else:
        listing = folder.list_pictures(source)
    pictures = listing.pictures[listing.pictures["source_split"].isin(splits)]
    images = np.stack([read_image(Path(path)) for path in pictures["path"]])
    return images, pictures["label"].map(EXPRESSIONS.index).to_numpy(), pictures["source_split"].to_numpy(str)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fer2013", description=__doc__)
    parser.add_argument("source", type=Path, help="the folder with fer2013.csv, or with train/ and test/")
    parser.add_argument(
        "cells", nargs="*", default=["best"], help="folders of --models; best if none is named"
    )
    parser.add_argument("--models", type=Path, default=Path("models"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        images, y_true, _ = pictures_of(arguments.source, Path(cache), ["test"])
    figures = {}
    for cell in arguments.cells:
        transform = make_transform(read_cell(arguments.models / cell)["recipe"])
        model = load_model(arguments.models / cell / "model.keras")
        x = np.stack([transform(image) for image in images])
        for suffix, views in (("", "none"), (" and mirrored", "flip"), (" perturbed", "perturbations")):
            probabilities = predict(model, x, test_time_augmentation=views)
            accuracy, loss = (scores(y_true, probabilities)[name] for name in ("accuracy", "loss"))
            low, high = accuracy_interval(probabilities.argmax(axis=1) == y_true)
            interval = f"95 % interval {low:.4f} to {high:.4f}"
            print(f"{cell}{suffix}: accuracy {accuracy:.4f} ({interval}), loss {loss:.4f}")
            figures[cell + suffix.replace(" ", "_")] = round(accuracy, 4)
    print(json.dumps({"pictures": len(y_true), **figures}))


if __name__ == "__main__":
    main()
