"""The test pictures that the report shows: some at random, the worst mistakes, and where the model looks."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from fer_tasks.evaluation.grad_cam import overlay
from fer_tasks.labels import EXPRESSIONS
from fer_tasks.reports import report_page
from fer_tasks.reports.render import Picture
from fer_tasks.storage.dataset import Dataset
from fer_tasks.storage.images import encode_jpeg, read_image
from flows.grid.model_probes import Look
from flows.grid.predictions import Answers

SIDE, QUALITY = 150, 80  # of the page's JPEGs, px and 1..95


def at_random(answers: Answers, clean: Dataset, n: int, seed: int) -> list[report_page.FaceExample]:
    """`n` test pictures, drawn with `seed`."""
    drawn = np.random.default_rng(seed).permutation(len(answers.y_true))[:n]
    return _faces(answers, clean, drawn.tolist())


def mistakes(answers: Answers, clean: Dataset, n: int) -> list[report_page.FaceExample]:
    """The `n` mistakes that the cell was surest of."""
    return _faces(answers, clean, _surest(answers, ~answers.right)[:n])


def looks(answers: Answers, look: Look, clean: Dataset, n: int) -> list[report_page.FaceExample]:
    """Where a cell looks: `n` pictures beside their heat maps, each for the expression that it predicts.

    At most half are the surest mistakes; the others the surest right ones, of each expression in turn. None
    where the model has nowhere to look.
    """
    wrong = _surest(answers, ~answers.right)[: n // 2]
    rows = [*_surest_of_each(answers)[: n - len(wrong)], *wrong]
    heat = look(rows, answers.probabilities[rows].argmax(axis=1).tolist())
    if heat is None:
        return []
    return [
        _face(answers, row, np.hstack([image, overlay(image, one)]), 2 * SIDE)
        for row, image, one in zip(rows, _images(answers, clean, rows), heat, strict=True)
    ]


def _surest(answers: Answers, among: np.ndarray) -> list[int]:
    """The rows of `among`, (n,) bool, that the cell was surest of first."""
    rows = np.flatnonzero(among)
    return rows[np.argsort(-answers.probabilities[rows].max(axis=1), kind="stable")].tolist()


def _surest_of_each(answers: Answers) -> list[int]:
    """The right ones: the surest of each expression, then the second of each, and so on."""
    rows = _surest(answers, answers.right)
    turn = pd.Series(rows, dtype=int).groupby(answers.y_true[rows]).cumcount()
    return [rows[i] for i in turn.argsort(kind="stable")]


def _faces(answers: Answers, clean: Dataset, rows: Sequence[int]) -> list[report_page.FaceExample]:
    images = _images(answers, clean, rows)
    return [_face(answers, row, image, SIDE) for row, image in zip(rows, images, strict=True)]


def _images(answers: Answers, clean: Dataset, rows: Sequence[int]) -> list[np.ndarray]:
    files = clean.manifest.set_index("image_id")["file"]
    return [read_image(clean.root / files[i]) for i in answers.faces["image_id"].iloc[rows]]


def _face(answers: Answers, row: int, image: np.ndarray, side: int) -> report_page.FaceExample:
    true = EXPRESSIONS[answers.y_true[row]]
    predicted = EXPRESSIONS[answers.probabilities[row].argmax()]
    alt = f"a face labelled {true}, predicted {predicted}"
    picture = Picture(encode_jpeg(image, side, QUALITY), alt, kind="jpeg")
    return report_page.FaceExample(picture, true, predicted, float(answers.probabilities[row].max()))
