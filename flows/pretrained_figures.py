"""What the network to begin from says of test pictures of faces: by expression, and cut otherwise."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from fer_tasks.evaluation.calibration import balanced
from fer_tasks.evaluation.scores import accuracy_interval
from fer_tasks.faces.choose import choose_face, enlarged, outline
from fer_tasks.faces.crop import cut_face, transform_of
from fer_tasks.faces.detector import detect_faces
from fer_tasks.labels import EXPRESSIONS
from flows.asking import Ask

CROPS = (0.7, 0.8, 0.9, 1.0, 1.1)  # sides of crops, as shares of that by crop_faces.margin


def find_faces(pictures: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, dict[str, Any] | None]]:
    """Pictures of faces, (M, N, 3) uint8 RGB, enlarged, each with the columns of `choose.outline` for its
    face; None where none is found."""
    large = list(map(enlarged, pictures))
    longest = max(max(picture.shape) for picture in large)
    for picture, found in zip(large, detect_faces(large, longest), strict=True):
        yield picture, outline(found, choose_face(found, picture.shape)) if len(found.scores) else None


def by_expression(y_true: np.ndarray, probabilities: np.ndarray, prior: Sequence[float]) -> dict[str, Any]:
    """For each expression that occurs its `faces`, and its `recall` with the 95 % interval `low`, `high`, as
    in training and `balanced`."""

    def recall(answers: np.ndarray) -> dict[str, float]:
        right = answers.argmax(axis=1)[y_true == k] == k
        low, high = accuracy_interval(right)
        return {"recall": float(right.mean()), "low": low, "high": high}

    figures, alike = {}, balanced(probabilities, prior)
    for k in map(int, np.unique(y_true)):
        figures[EXPRESSIONS[k]] = {
            "faces": int((y_true == k).sum()),
            **recall(probabilities),
            "balanced": recall(alike),
        }
    return figures


def over_crops(pictures: Iterable[np.ndarray], y_true: np.ndarray, margin: float, ask: Ask) -> dict[str, Any]:
    """Accuracy on the `faces` that are found in pictures of faces, by the side of the crop as a share of that
    by `margin`; beyond its border a picture is mirrored."""
    found = [(*pair, true) for pair, true in zip(find_faces(pictures), y_true, strict=True) if pair[1]]
    true = np.array([k for *_, k in found])
    accuracy = {}
    for crop in CROPS if found else ():
        faces = [
            cut_face(
                picture,
                transform_of(face, crop * (1 + margin) - 1, len(picture)),
                picture.shape[:2],
                len(picture),
            )
            for picture, face, _ in found
        ]
        accuracy[f"{crop:g}"] = float((ask(faces).argmax(axis=1) == true).mean())
    return {"faces": len(found), "accuracy": accuracy}
