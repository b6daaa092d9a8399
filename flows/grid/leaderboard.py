"""The leaderboard: a row a cell, with what validation, the test split, others and a stopwatch say of it."""

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
from flows.grid.predictions import Answers


def read_published(grid: str, ids: list[str], folder: Path = Path("grids/published")) -> Published | None:
    """The figures that others published of a grid, where there are any; says which are of no cell of it."""
    file = folder / f"{grid}.csv"
    if not file.exists():
        return None
    published = parse_published(read_text(file), str(file))
    if others := sorted({*published.figures["cell"]} - {*ids}):
        get_run_logger().warning(f"{file}: left out, since the grid has no such cell: {', '.join(others)}")
    return published


def leaderboard(
    board: pd.DataFrame,
    answers: Mapping[str, Answers],
    published: Published | None,
    models: Path,
) -> pd.DataFrame:
    """`board`, of `cells.leaderboard`, the best first, with more columns: the scores on the test split
    (test_…), the gain over the best that is a model of its own (gain…, p, differs), others' figures
    (published_…, difference…), bytes and ms_a_face. What a cell lacks is NaN."""
    board = board.merge(_test_scores(answers), on="cell", how="left")
    files = {cell: file for cell in answers if (file := cells.model_file(models / cell))}
    right = {cell: found.right for cell, found in answers.items()}
    gains = significance.against(right, next(iter(files)))
    board = board.merge(gains, on="cell", how="left")
    if published:
        board = board.merge(published.figures.rename(columns=_as_published), on="cell", how="left")
        for name, column in (("", "test_accuracy"), ("_low", "test_low"), ("_high", "test_high")):
            board[f"difference{name}"] = board[column] - board["published_accuracy"]
    board["bytes"] = board["cell"].map({cell: file.stat().st_size for cell, file in files.items()})
    return board.assign(ms_a_face=board["cell"].map(milliseconds_a_face(models, list(answers))))


def recalls(answers: Mapping[str, Answers]) -> pd.DataFrame:
    """The recall of each expression, a column, by each cell, a row: column cell, then the expressions."""
    rows = {
        cell: per_class(found.y_true, found.probabilities).set_index("expression")["recall"]
        for cell, found in answers.items()
    }
    table = pd.DataFrame(rows).T.reindex(columns=list(EXPRESSIONS))
    return table.rename_axis("cell").reset_index()


def _test_scores(answers: Mapping[str, Answers]) -> pd.DataFrame:
    rows = []
    for cell, found in answers.items():
        low, high = accuracy_interval(found.right)
        scored = scores(found.y_true, found.probabilities)
        scored |= {"low": low, "high": high}
        scored["ece"] = expected_calibration_error(found.y_true, found.probabilities)
        rows.append({"cell": cell, **{f"test_{name}": value for name, value in scored.items()}})
    return pd.DataFrame(rows)


def _as_published(column: str) -> str:
    return column.replace("test_", "published_")
