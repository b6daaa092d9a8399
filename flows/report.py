"""models, data, test split -> reports/: the page, the leaderboard, the metrics and the plots."""

import json
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from prefect import flow, get_run_logger
from prefect.artifacts import create_link_artifact, create_table_artifact

from fer_tasks.errors import UserError
from fer_tasks.evaluation import scores
from fer_tasks.evaluation.published import Published
from fer_tasks.labels import EXPRESSIONS
from fer_tasks.reports import plots, report_page
from fer_tasks.reports.data_card_tables import stage_counts
from fer_tasks.reports.render import Picture
from fer_tasks.settings import Grid, Settings, load_grid
from fer_tasks.storage import cells
from fer_tasks.storage.dataset import STAGES, Dataset, read_dataset
from fer_tasks.storage.files import write_bytes, write_table, write_text
from flows.engine.stage import run_stage
from flows.grid import report_faces
from flows.grid.distillation_gain import lessons
from flows.grid.leaderboard import leaderboard, read_published, recalls
from flows.grid.model_probes import Look, looking
from flows.grid.predictions import Answers, Split, answers
from flows.server.which_server import report_url

PACKAGES = ("prefect", "dvc", "tensorflow", "keras", "mtcnn", "scikit-image", "onnxruntime")


class _Found(NamedTuple):
    board: pd.DataFrame
    answers: dict[str, Answers]  # of the trained cells, the best first
    histories: dict[str, pd.DataFrame]  # of those that have a model of their own: an ensemble has none
    published: Published | None
    lessons: pd.DataFrame
    stages: dict[str, Dataset]

    @property
    def best(self) -> str:
        return next(iter(self.histories))


@flow(name="report")
def report(
    settings: Settings,
    data: Path = Path("data"),
    models: Path = Path("models"),
    target: Path = Path("reports"),
) -> None:
    grid = load_grid(settings.train.grid)
    found = _find(grid, settings, data, models)
    best = _best(found)
    reduced = _reduced(grid, settings.train.size)
    whole = _page(found, best, settings, reduced, looking(best.cell, models, data / "features"))
    write_bytes(target / "index.html", report_page.render_report(whole).encode())
    of_class = recalls(found.answers).set_index("cell").add_prefix("recall_")
    write_table(target / "leaderboard.csv", found.board.join(of_class, on="cell"))
    write_table(target / "distillation_gain.csv", found.lessons)
    _write_plots(target / "plots", found)
    write_text(target / "metrics.json", json.dumps(_metrics(best, found.board), indent=2) + "\n")
    _tell(best, found.board, target)


def _find(grid: Grid, settings: Settings, data: Path, models: Path) -> _Found:
    published = read_published(settings.train.grid, grid.ids)
    board = cells.leaderboard(models, grid.ids)
    trained = board[board["status"] == "trained"]
    if cells.networks(trained).empty:
        raise UserError(_why_no_cell(settings.train.grid, grid, board))
    tested = answers(trained["cell"], Split("test", models, data / "features", settings.train.threads))
    board = leaderboard(board, tested, published, models)
    own = cells.networks(trained)["cell"]
    histories = {cell: cells.read_history(models / cell) for cell in own}
    taught = lessons(board, tested, models)
    stages = {name: read_dataset(data / name) for name in STAGES}
    return _Found(board, tested, histories, published, taught, stages)


def _why_no_cell(name: str, grid: Grid, board: pd.DataFrame) -> str:
    begin = f"no cell of grids/{name}.yaml is trained"
    if board.empty:
        return f"{begin}, of {len(grid.cells)}; `dvc repro train` trains them"
    first = board.iloc[0]
    return f"{begin}; {first['cell']} failed: {first['reason']}"


def _page(
    found: _Found, best: report_page.BestCell, settings: Settings, reduced: str, look: Look
) -> report_page.ReportPage:
    wanted, clean = settings.report, found.stages["clean"]
    of_best = found.answers[best.cell]
    drawn = dict(list(found.histories.items())[: wanted.curves])
    return report_page.ReportPage(
        source=settings.download.source,
        generated=settings.download.source.endswith("sample.yaml"),
        reduced=reduced,
        best=best,
        candidates=len(found.histories),
        leaderboard=found.board,
        published=found.published.about if found.published else "",
        distillation_gain=found.lessons,
        per_class=scores.per_class(of_best.y_true, of_best.probabilities),
        recalls=recalls(found.answers),
        figures=_figures(of_best, found.board, drawn),
        curves=len(drawn),
        wrong=int((~of_best.right).sum()),
        mistakes=report_faces.mistakes(of_best, clean, wanted.mistakes),
        at_random=report_faces.at_random(of_best, clean, wanted.contact_sheet, wanted.seed),
        grad_cam_faces=report_faces.looks(of_best, look, clean, wanted.grad_cam),
        stages=stage_counts(stage.info for stage in found.stages.values()),
        made=_made(settings, found.stages),
    )


def _reduced(grid: Grid, size: str) -> str:
    less = grid.reduced if size == "reduced" else None
    return f"at most {less.pictures:,} train pictures and {less.epochs} epochs a phase" if less else ""


def _best(found: _Found) -> report_page.BestCell:
    row, clean = found.board.set_index("cell").loc[found.best], found.stages["clean"].manifest
    y_true = found.answers[found.best].y_true
    usual = EXPRESSIONS.index(clean[clean["split"] == "train"]["label"].mode()[0])
    return report_page.BestCell(
        cell=found.best,
        accuracy=row["test_accuracy"],
        low=row["test_low"],
        high=row["test_high"],
        macro_f1=row["test_macro_f1"],
        ece=row["test_ece"],
        n=len(y_true),
        majority=float((y_true == usual).mean()),
    )


def _figures(
    answers: Answers, board: pd.DataFrame, histories: Mapping[str, pd.DataFrame]
) -> dict[str, Picture]:
    counts = scores.confusion(answers.y_true, answers.probabilities)
    bins = scores.reliability(answers.y_true, answers.probabilities)
    drawn = {
        "accuracies": (plots.accuracies(board), "Test accuracy of each cell with its 95 % interval"),
        "confusion": (plots.confusion_matrix(counts, EXPRESSIONS), "Confusion: true by named expression"),
        "reliability": (plots.reliability(bins), "Accuracy by confidence, and how many pictures have each"),
        "curves": (plots.learning_curves(histories), "Accuracy and loss by epoch of each cell"),
    }
    return {name: Picture(png, alt) for name, (png, alt) in drawn.items()}


def _made(settings: Settings, stages: Mapping[str, Dataset]) -> dict[str, str]:
    prints = {f"fingerprint of {data.root}": data.fingerprint for data in stages.values()}
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return {
        "again": "dvc repro",
        "grid": f"grids/{settings.train.grid}.yaml",
        **{f"settings of {name}": json.dumps(values) for name, values in settings.model_dump().items()},
        **prints,
        "packages": f"Python {platform.python_version()}, {packages}",
    }


def _write_plots(folder: Path, found: _Found) -> None:
    curves = pd.concat([history.assign(cell=cell) for cell, history in found.histories.items()])
    write_table(folder / "learning_curves.csv", curves)
    answers = found.answers[found.best]
    names = np.array(EXPRESSIONS)
    predicted = names[answers.probabilities.argmax(axis=1)]
    actual = names[answers.y_true]
    write_table(folder / "confusion.csv", pd.DataFrame({"actual": actual, "predicted": predicted}))


def _metrics(best: report_page.BestCell, board: pd.DataFrame) -> dict[str, Any]:
    """A function of models and data: what a stopwatch says is not among them."""
    figures = ["val_accuracy", "val_loss", *(name for name in board.columns if name.startswith("test_"))]
    trained = board[board["status"] == "trained"].set_index("cell")[figures].round(4)
    rows = {cell: row.dropna().to_dict() for cell, row in trained.iterrows()}
    return {"best": {"cell": best.cell, **rows[best.cell]}, "cells": rows}


def _tell(best: report_page.BestCell, board: pd.DataFrame, target: Path) -> None:
    table = board.astype(object).where(board.notna(), "").to_dict("records")
    create_table_artifact(table, key="leaderboard", description=f"best on validation: {best.cell}")
    create_link_artifact(
        report_url("index.html"), link_text="The report", key="report", description=f"{target}/index.html"
    )
    interval = f"95 % interval {best.low:.4f} to {best.high:.4f}, {best.n} test pictures"
    get_run_logger().info(
        f"{best.cell}: test accuracy {best.accuracy:.4f} ({interval}); see {target}/index.html"
    )


if __name__ == "__main__":
    run_stage(report, workers=lambda settings: 1)
