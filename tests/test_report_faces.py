"""Which test pictures the report shows."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fer_tasks.labels import EXPRESSIONS
from fer_tasks.storage.dataset import read_dataset
from flows.grid import report_faces
from flows.grid.predictions import Predictions


@pytest.fixture
def clean(drawn_data: Path):
    return read_dataset(drawn_data / "clean")


def predict(clean, labels: list[str], guesses: list[str], confidence: list[float]) -> Predictions:
    """Predictions with these guesses and confidences for the first faces, as if they had these labels."""
    faces = clean.manifest.head(len(labels)).assign(label=labels)
    y_true, y_predicted = (
        np.array([EXPRESSIONS.index(name) for name in names]) for names in (labels, guesses)
    )
    probabilities = np.repeat((1 - np.array(confidence))[:, None] / 6, 7, axis=1)
    probabilities[np.arange(len(labels)), y_predicted] = confidence
    return Predictions(pd.DataFrame(faces), y_true, probabilities)


def test_the_mistakes_shown_are_the_surest_and_the_surest_comes_first(clean):
    tested = predict(clean, ["sad"] * 4, ["fear", "sad", "happy", "angry"], [0.5, 0.99, 0.9, 0.7])
    shown = report_faces.mistakes(tested, clean, 2)
    assert [(face.true, face.predicted, round(face.confidence, 2)) for face in shown] == [
        ("sad", "happy", 0.9),
        ("sad", "angry", 0.7),
    ]
    assert not any(face.right for face in shown) and shown[0].picture.kind == "jpeg"


def test_there_may_be_no_mistake_and_no_more_pictures_than_there_are(clean):
    tested = predict(clean, ["sad", "fear"], ["sad", "fear"], [0.5, 0.6])
    assert report_faces.mistakes(tested, clean, 9) == []
    assert len(report_faces.at_random(tested, clean, 9, seed=0)) == 2


def test_pictures_at_random_are_the_same_for_the_same_seed(clean):
    tested = predict(clean, ["sad"] * 20, ["sad"] * 20, list(np.linspace(0.3, 0.9, 20)))
    one, same, other = (report_faces.at_random(tested, clean, 5, seed) for seed in (1, 1, 2))
    assert one == same != other


def test_right_ones_are_of_each_expression_in_turn():
    labels = np.array([3, 3, 3, 5, 5, 0])
    probabilities = np.full((6, 7), 0.01)
    probabilities[np.arange(6), labels] = [0.9, 0.8, 0.95, 0.5, 0.6, 0.4]
    probabilities[1, 0] = 0.9  # a mistake
    tested = Predictions(pd.DataFrame(), labels, probabilities)
    assert report_faces._correct_of_each(tested) == [2, 4, 5, 0, 3]
    assert report_faces._correct_of_each(Predictions(pd.DataFrame(), labels, probabilities[::-1])) == []
