"""The test pictures that the report shows: some at random, the worst mistakes, and where the model looks."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fer_tasks import cells, page
from fer_tasks.dataset import Dataset
from fer_tasks.grad_cam import overlay
from fer_tasks.images import encode_jpeg, read_image
from fer_tasks.labels import EXPRESSIONS
from flows.test_split import Tested, heat_maps

SIDE, QUALITY = 150, 80  # of the page's JPEGs, px and 1..95


def at_random(tested: Tested, clean: Dataset, n: int, seed: int) -> list[page.Face]:
    """`n` test pictures, drawn with `seed`."""
    drawn = np.random.default_rng(seed).permutation(len(tested.y_true))[:n]
    return _faces(tested, clean, drawn.tolist())


def mistakes(tested: Tested, clean: Dataset, n: int) -> list[page.Face]:
    """The `n` mistakes that the cell was surest of."""
    return _faces(tested, clean, _surest(tested, ~tested.right)[:n])


def looks(cell: str, tested: Tested, clean: Dataset, models: Path, features: Path, n: int) -> list[page.Face]:
    """Where a cell looks: `n` pictures beside their heat maps, each for the expression that was named.

    At most half are the surest mistakes; the others the surest right ones, of each expression in turn. None
    where the model has nowhere to look.
    """
    about = cells.read_cell(models / cell)
    wrong = _surest(tested, ~tested.right)[: n // 2]
    rows = [*_surest_of_each(tested)[: n - len(wrong)], *wrong]
    named = tested.probabilities[rows].argmax(axis=1).tolist()
    folder = features / about["settings"]["recipe"]
    heat = heat_maps(cell, about["fingerprint"], models, folder, rows, named)
    if heat is None:
        return []
    return [
        _face(tested, row, np.hstack([image, overlay(image, one)]), 2 * SIDE)
        for row, image, one in zip(rows, _images(tested, clean, rows), heat, strict=True)
    ]


def _surest(tested: Tested, among: np.ndarray) -> list[int]:
    """The rows of `among`, (n,) bool, that the cell was surest of first."""
    rows = np.flatnonzero(among)
    return rows[np.argsort(-tested.probabilities[rows].max(axis=1), kind="stable")].tolist()


def _surest_of_each(tested: Tested) -> list[int]:
    """The right ones: the surest of each expression, then the second of each, and so on."""
    seen = dict.fromkeys(range(len(EXPRESSIONS)), 0)
    turns = []
    for row in _surest(tested, tested.right):
        turns.append((seen[tested.y_true[row]], row))
        seen[tested.y_true[row]] += 1
    return [row for _, row in sorted(turns, key=lambda turn: turn[0])]


def _faces(tested: Tested, clean: Dataset, rows: Sequence[int]) -> list[page.Face]:
    images = _images(tested, clean, rows)
    return [_face(tested, row, image, SIDE) for row, image in zip(rows, images, strict=True)]


def _images(tested: Tested, clean: Dataset, rows: Sequence[int]) -> list[np.ndarray]:
    files = clean.manifest.set_index("image_id")["file"]
    return [read_image(clean.root / files[i]) for i in tested.faces["image_id"].iloc[rows]]


def _face(tested: Tested, row: int, image: np.ndarray, side: int) -> page.Face:
    true = EXPRESSIONS[tested.y_true[row]]
    predicted = EXPRESSIONS[tested.probabilities[row].argmax()]
    alt = f"a face labelled {true}, predicted {predicted}"
    picture = page.Picture(encode_jpeg(image, side, QUALITY), alt, kind="jpeg")
    return page.Face(picture, true, predicted, float(tested.probabilities[row].max()))
