"""The test pictures that the report shows: a random sample, the worst mistakes, and Grad-CAM maps."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from fer_tasks.labels import EXPRESSIONS
from fer_tasks.reports import report_page
from fer_tasks.reports.plots import overlay
from fer_tasks.reports.render import Picture
from fer_tasks.storage.dataset import Dataset
from fer_tasks.storage.images import encode_jpeg, read_image
from flows.grid.model_probes import GradCam
from flows.grid.predictions import Predictions

SIDE, QUALITY = 150, 80  # of the page's JPEGs, px and 1..95


def at_random(predictions: Predictions, clean: Dataset, n: int, seed: int) -> list[report_page.FaceExample]:
    """`n` test pictures, drawn with `seed`."""
    drawn = np.random.default_rng(seed).permutation(len(predictions.y_true))[:n]
    return _faces(predictions, clean, drawn.tolist())


def mistakes(predictions: Predictions, clean: Dataset, n: int) -> list[report_page.FaceExample]:
    """The `n` most confident mistakes, the most confident first."""
    return _faces(predictions, clean, _most_confident(predictions, ~predictions.correct)[:n])


def grad_cam_faces(
    predictions: Predictions, grad_cam: GradCam, clean: Dataset, n: int
) -> list[report_page.FaceExample]:
    """`n` pictures, each beside the Grad-CAM map of its predicted expression; none if the model has no maps.

    At most half are the most confident mistakes; the others are the most confident correct predictions, taken
    from each expression in turn.
    """
    wrong = _most_confident(predictions, ~predictions.correct)[: n // 2]
    rows = [*_correct_of_each(predictions)[: n - len(wrong)], *wrong]
    maps = grad_cam(rows, predictions.probabilities[rows].argmax(axis=1).tolist())
    if maps is None:
        return []
    return [
        _face(predictions, row, np.hstack([image, overlay(image, heat)]), 2 * SIDE)
        for row, image, heat in zip(rows, _images(predictions, clean, rows), maps, strict=True)
    ]


def _most_confident(predictions: Predictions, chosen: np.ndarray) -> list[int]:
    """The `chosen` rows, (n,) bool, the most confident first."""
    rows = np.flatnonzero(chosen)
    return rows[np.argsort(-predictions.probabilities[rows].max(axis=1), kind="stable")].tolist()


def _correct_of_each(predictions: Predictions) -> list[int]:
    """Correct rows: the most confident of each expression, then the second of each, and so on."""
    rows = _most_confident(predictions, predictions.correct)
    turn = pd.Series(rows, dtype=int).groupby(predictions.y_true[rows]).cumcount()
    return [rows[i] for i in turn.argsort(kind="stable")]


def _faces(predictions: Predictions, clean: Dataset, rows: Sequence[int]) -> list[report_page.FaceExample]:
    images = _images(predictions, clean, rows)
    return [_face(predictions, row, image, SIDE) for row, image in zip(rows, images, strict=True)]


def _images(predictions: Predictions, clean: Dataset, rows: Sequence[int]) -> list[np.ndarray]:
    shown = clean.manifest.set_index("image_id").loc[predictions.faces["image_id"].iloc[rows]]
    return [read_image(Path(path)) for path in clean.image_paths(shown)]


def _face(predictions: Predictions, row: int, image: np.ndarray, side: int) -> report_page.FaceExample:
    true = EXPRESSIONS[predictions.y_true[row]]
    predicted = EXPRESSIONS[predictions.probabilities[row].argmax()]
    alt = f"a face labelled {true}, predicted {predicted}"
    picture = Picture(encode_jpeg(image, side, QUALITY), alt, kind="jpeg")
    return report_page.FaceExample(picture, true, predicted, float(predictions.probabilities[row].max()))
