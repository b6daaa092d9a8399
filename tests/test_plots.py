"""Figures are pictures, whatever comes in."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fer_tasks.evaluation import bootstrap
from fer_tasks.labels import EXPRESSIONS
from fer_tasks.reports import plots

HISTORY = pd.DataFrame(
    {
        "epoch": [1, 2],
        "loss": [2.0, 1.0],
        "accuracy": [0.2, 0.4],
        "val_loss": [2.0, 1.5],
        "val_accuracy": [0.3, 0.2],
    }
)


def size(png: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(png)).size


def colours(png: bytes) -> set[tuple[int, ...]]:
    return {colour for _, colour in Image.open(io.BytesIO(png)).convert("RGB").getcolors(1 << 20)}


ORANGE = (0xC8, 0x50, 0x1E)


def test_an_ablation_with_a_step_that_was_not_trained():
    metrics = [metric + against for metric in bootstrap.METRICS for against in bootstrap.AGAINST]
    steps = pd.DataFrame({name + end: [0.4, np.nan] for name in metrics for end in ("", "_low", "_high")})
    assert size(plots.ablation(steps, ["raw faces", "dark"], {"before": (0.487, 0.489)}))[0] > 900


@pytest.mark.parametrize("cells", [1, 2, 9])
def test_learning_curves_grow_with_the_cells(cells):
    width, height = size(plots.learning_curves({f"cell-{i}": HISTORY for i in range(cells)}))
    assert width > 900 and height > 100 * cells


def board(cells: int, **columns: object) -> pd.DataFrame:
    names = [f"cell-{i}" for i in range(cells)]
    figures = {"test_accuracy": 0.5, "test_low": 0.4, "test_high": 0.6}
    return pd.DataFrame({"cell": names, **figures, **columns})


def test_the_threshold_of_doubt_is_a_point_where_anything_is_answered():
    curve = {0.5: 0.9, 1.0: 0.7}
    assert ORANGE in colours(plots.accuracy_by_share(curve, 0.8, 0.75))
    assert ORANGE not in colours(plots.accuracy_by_share(curve, 0.0, None))


@pytest.mark.parametrize("cells", [1, 53])
def test_accuracies_grow_with_the_cells(cells):
    width, height = size(plots.accuracies(board(cells)))
    assert width > 900 and height > 20 * cells


def test_what_others_published_stands_out_and_a_failed_cell_has_no_line():
    two = board(2, published_accuracy=[0.45, np.nan])
    failed = pd.concat([two, pd.DataFrame({"cell": ["lost"]})])
    assert ORANGE in colours(plots.accuracies(two)) and ORANGE not in colours(plots.accuracies(board(2)))
    assert size(plots.accuracies(failed)) == size(plots.accuracies(two))


def test_a_reliability_diagram_with_empty_bins():
    bins = pd.DataFrame({"low": [0.0, 0.5], "high": [0.5, 1.0], "n": [0, 9]})
    assert size(plots.reliability(bins.assign(confidence=[np.nan, 0.9], accuracy=[np.nan, 0.7])))[0] > 500


def test_a_confusion_with_an_empty_class():
    assert size(plots.confusion_matrix(np.diag([5, 0, 1, 2, 3, 4, 9]), EXPRESSIONS))[0] > 500


@pytest.mark.parametrize("log", [False, True])
def test_what_lies_beyond_a_limit_stands_out_in_a_histogram(log):
    values = np.array([1.0, 2.0, 2.5, 3.0, 90.0])
    assert ORANGE in colours(plots.histogram(values, "measure", -np.inf, 50, log))
    assert ORANGE not in colours(plots.histogram(values, "measure", -np.inf, np.inf, log))


@pytest.mark.parametrize("values", [[0.5], [0.0, 0.0], [3.0] * 9])
@pytest.mark.parametrize("log", [False, True])
def test_a_histogram_of_values_that_hardly_differ(values, log):
    assert size(plots.histogram(np.array(values), "measure", 1, np.inf, log))[0] > 400
