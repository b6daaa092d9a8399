"""The leaderboard: a row a cell, with validation and test scores, published figures, size and latency."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from prefect import get_run_logger

from fer_tasks.evaluation import significance
from fer_tasks.evaluation.published import Published, parse_published
from fer_tasks.evaluation.scores import accuracy_interval, expected_calibration_error, per_class, scores
from fer_tasks.labels import EXPRESSIONS
from fer_tasks.storage import cells
from fer_tasks.storage.files import read_text
from flows.grid.model_probes import milliseconds_a_face
from flows.grid.predictions import Predictions


def read_published(grid: str, ids: list[str], folder: Path = Path("grids/published")) -> Published | None:
    """The figures that others published for a grid, if there are any; warns of figures of unknown cells."""
    file = folder / f"{grid}.csv"
    if not file.exists():
        return None
    published = parse_published(read_text(file), str(file))
    if unknown := sorted({*published.figures["cell"]} - {*ids}):
        get_run_logger().warning(f"{file}: ignored, the grid has no such cell: {', '.join(unknown)}")
    return published


def leaderboard(
    board: pd.DataFrame,
    predictions: Mapping[str, Predictions],
    published: Published | None,
    models: Path,
) -> pd.DataFrame:
    """Add columns to `board`, the table of `cells.leaderboard`, best first; NaN if a cell has no value:

    - test_…: scores on the test split
    - gain…, p, differs: the gain over the best single network
    - published_…, difference…: published figures and the difference from them
    - bytes, ms_a_face: size and latency of the model
    """
    board = board.merge(_test_scores(predictions), on="cell", how="left")
    files = {cell: file for cell in predictions if (file := cells.model_file(models / cell))}
    correct = {cell: predicted.correct for cell, predicted in predictions.items()}
    gains = significance.against(correct, next(iter(files)))
    board = board.merge(gains, on="cell", how="left")
    if published:
        board = board.merge(published.figures.rename(columns=_as_published), on="cell", how="left")
        for name, column in (("", "test_accuracy"), ("_low", "test_low"), ("_high", "test_high")):
            board[f"difference{name}"] = board[column] - board["published_accuracy"]
    board["bytes"] = board["cell"].map({cell: file.stat().st_size for cell, file in files.items()})
    return board.assign(ms_a_face=board["cell"].map(milliseconds_a_face(models, list(predictions))))


def recalls(predictions: Mapping[str, Predictions]) -> pd.DataFrame:
    """The recall of each expression by each cell: a row a cell, columns cell and the expressions."""
    rows = {
        cell: per_class(predicted.y_true, predicted.probabilities).set_index("expression")["recall"]
        for cell, predicted in predictions.items()
    }
    table = pd.DataFrame(rows).T.reindex(columns=list(EXPRESSIONS))
    return table.rename_axis("cell").reset_index()


def _test_scores(predictions: Mapping[str, Predictions]) -> pd.DataFrame:
    rows = []
    for cell, predicted in predictions.items():
        low, high = accuracy_interval(predicted.correct)
        scored = scores(predicted.y_true, predicted.probabilities)
        scored |= {"low": low, "high": high}
        scored["ece"] = expected_calibration_error(predicted.y_true, predicted.probabilities)
        rows.append({"cell": cell, **{f"test_{name}": value for name, value in scored.items()}})
    return pd.DataFrame(rows)


def _as_published(column: str) -> str:
    return column.replace("test_", "published_")
