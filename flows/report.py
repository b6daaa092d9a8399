"""models, data, test split -> reports/: the page, the model card, the leaderboard, the metrics, the plots."""

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
from fer_tasks.evaluation import calibration, scores
from fer_tasks.evaluation.confidence import COVERAGES
from fer_tasks.evaluation.published import Published
from fer_tasks.labels import EXPRESSIONS
from fer_tasks.reports import model_card_page, plots, report_page
from fer_tasks.reports.data_card_tables import stage_counts
from fer_tasks.reports.render import Picture
from fer_tasks.settings import Grid, Settings, load_grid
from fer_tasks.storage import cells
from fer_tasks.storage.dataset import STAGES, Dataset, read_dataset
from fer_tasks.storage.files import write_bytes, write_table, write_text
from fer_tasks.storage.model_folder import read_model_info
from flows.engine.stage import run_stage
from flows.grid import report_faces
from flows.grid.choose_grid import with_chosen_grid
from flows.grid.distillation_gain import distillation_gain
from flows.grid.leaderboard import leaderboard, read_published, recalls
from flows.grid.model_probes import GradCam, grad_cam_for
from flows.grid.predictions import PredictedSplit, Predictions, predictions_of
from flows.model_card import Asked, make_card
from flows.server.which_server import report_url

PACKAGES = ("prefect", "dvc", "tensorflow", "keras", "mtcnn", "scikit-image", "onnxruntime")


SHARES = tuple(percent / 100 for percent in range(5, 101))  # of pictures that are answered


class _Results(NamedTuple):
    board: pd.DataFrame
    predictions: dict[str, Predictions]  # of the trained cells on the test split, the best cell first
    histories: dict[str, pd.DataFrame]  # of the trained networks; an ensemble has none
    published: Published | None
    distillation_gain: pd.DataFrame
    stages: dict[str, Dataset]
    model: dict[str, Any]  # model.json of models/best

    @property
    def best(self) -> str:
        """The best network."""
        return next(iter(self.histories))


@flow(name="report")
def report(
    settings: Settings,
    data: Path = Path("data"),
    models: Path = Path("models"),
    target: Path = Path("reports"),
) -> None:
    settings = with_chosen_grid(settings, data / "clean")
    grid = load_grid(settings.train.grid)
    results = _evaluate(grid, settings, data, models)
    best = _best(results)
    reduced = _reduced(grid, settings.train.size)
    grad_cam = grad_cam_for(best.cell, models, data / "features")
    page = _page(results, best, settings, reduced, grad_cam)
    write_bytes(target / "index.html", report_page.render_report(page).encode())
    card = make_card(_asked(results, models), results.stages["raw"], data / "clean")
    write_text(target / "model_card.md", model_card_page.render_model_card(card))
    write_bytes(target / "model.html", model_card_page.render_model_page(card).encode())
    by_class = recalls(results.predictions).set_index("cell").add_prefix("recall_")
    write_table(target / "leaderboard.csv", results.board.join(by_class, on="cell"))
    write_table(target / "distillation_gain.csv", results.distillation_gain)
    _write_plots(target / "plots", results)
    write_bytes(target / model_card_page.SLICES, card.plots[0].data)
    write_text(target / "metrics.json", json.dumps(_metrics(best, results.board), indent=2) + "\n")
    _log_summary(best, results.board, target)


def _evaluate(grid: Grid, settings: Settings, data: Path, models: Path) -> _Results:
    published = read_published(settings.train.grid, grid.ids)
    board = cells.leaderboard(models, grid.ids)
    trained = board[board["status"] == "trained"]
    networks = cells.networks(trained)["cell"]
    if networks.empty:
        raise UserError(_why_no_cell(settings.train.grid, grid, board))
    split = PredictedSplit("test", models, data / "features", settings.train.threads)
    predictions = predictions_of(trained["cell"], split)
    board = leaderboard(board, predictions, published, models)
    return _Results(
        board=board,
        predictions=predictions,
        histories={cell: cells.read_history(models / cell) for cell in networks},
        published=published,
        distillation_gain=distillation_gain(board, predictions, models),
        stages={name: read_dataset(data / name) for name in STAGES},
        model=read_model_info(models / cells.BEST),
    )


def _why_no_cell(name: str, grid: Grid, board: pd.DataFrame) -> str:
    problem = f"no cell of grids/{name}.yaml is trained"
    if board.empty:
        return f"{problem}, of {len(grid.cells)}; `dvc repro train` trains them"
    first = board.iloc[0]
    return f"{problem}; {first['cell']} failed: {first['reason']}"


def _page(
    results: _Results, best: report_page.BestCell, settings: Settings, reduced: str, grad_cam: GradCam
) -> report_page.ReportPage:
    limits, clean = settings.report, results.stages["clean"]
    predictions = results.predictions[best.cell]
    histories = dict(list(results.histories.items())[: limits.curves])
    return report_page.ReportPage(
        source=settings.download.source,
        generated=settings.download.source.endswith("sample.yaml"),
        reduced=reduced,
        best=best,
        calibrated=_calibrated(results.model),
        candidates=len(results.histories),
        unlearnt=calibration.unlearnt(results.model["prior"]),
        leaderboard=results.board,
        published=results.published.about if results.published else "",
        distillation_gain=results.distillation_gain,
        per_class=scores.per_class(predictions.y_true, predictions.probabilities),
        recalls=recalls(results.predictions),
        figures=_figures(predictions, results.board, histories, results.model),
        curves=len(histories),
        wrong=int((~predictions.correct).sum()),
        mistakes=report_faces.mistakes(predictions, clean, limits.mistakes),
        at_random=report_faces.at_random(predictions, clean, limits.contact_sheet, limits.seed),
        grad_cam_faces=report_faces.grad_cam_faces(predictions, grad_cam, clean, limits.grad_cam),
        stages=stage_counts(stage.info for stage in results.stages.values()),
        made=_made(settings, results.stages),
    )


def _reduced(grid: Grid, size: str) -> str:
    limits = grid.reduced if size == "reduced" else None
    return f"at most {limits.pictures:,} train pictures and {limits.epochs} epochs a phase" if limits else ""


def _best(results: _Results) -> report_page.BestCell:
    row, clean = results.board.set_index("cell").loc[results.best], results.stages["clean"].manifest
    y_true = results.predictions[results.best].y_true
    most_frequent = EXPRESSIONS.index(clean[clean["split"] == "train"]["label"].mode()[0])
    return report_page.BestCell(
        cell=results.best,
        accuracy=row["test_accuracy"],
        low=row["test_low"],
        high=row["test_high"],
        macro_f1=row["test_macro_f1"],
        ece=row["test_ece"],
        n=len(y_true),
        majority=float((y_true == most_frequent).mean()),
    )


def _asked(results: _Results, models: Path) -> Asked:
    latency = results.board.set_index("cell")["ms_a_face"][results.best]
    about, candidates = cells.read_cell(models / results.best), len(results.histories)
    return Asked(results.model, about, results.predictions[results.best], latency, candidates)


def _calibrated(model: Mapping[str, Any]) -> report_page.CalibratedModel:
    figures = model["figures"]["test"]
    return report_page.CalibratedModel(
        temperature=model["temperature"],
        threshold=model["doubt"]["threshold"],
        figures=figures,
        sets=[(c, figures[f"coverage_{c:g}"], figures[f"set_size_{c:g}"]) for c in COVERAGES],
    )


def _figures(
    predictions: Predictions,
    board: pd.DataFrame,
    histories: Mapping[str, pd.DataFrame],
    model: Mapping[str, Any],
) -> dict[str, Picture]:
    counts = scores.confusion(predictions.y_true, predictions.probabilities)
    bins = scores.reliability(predictions.y_true, predictions.probabilities)
    calibrated = calibration.calibrated(predictions.probabilities, model["temperature"], model["prior"])
    by_share = calibration.accuracy_by_share(predictions.y_true, calibrated, SHARES)
    doubt = calibration.doubt_at(model["doubt"]["threshold"], predictions.y_true, calibrated)
    figures = {
        "accuracies": (plots.accuracies(board), "Test accuracy of each cell with its 95 % interval"),
        "confusion": (plots.confusion_matrix(counts, EXPRESSIONS), "Confusion: true by named expression"),
        "reliability": (plots.reliability(bins), "Accuracy by confidence, and how many pictures have each"),
        "answered": (
            plots.accuracy_by_share(by_share, doubt.answered, doubt.accuracy),
            "Accuracy where only the surest pictures are answered, by their share",
        ),
        "curves": (plots.learning_curves(histories), "Accuracy and loss by epoch of each cell"),
    }
    return {name: Picture(png, alt) for name, (png, alt) in figures.items()}


def _made(settings: Settings, stages: Mapping[str, Dataset]) -> dict[str, str]:
    fingerprints = {f"fingerprint of {data.root}": data.fingerprint for data in stages.values()}
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return {
        "again": "dvc repro",
        "grid": f"grids/{settings.train.grid}.yaml",
        **{f"settings of {name}": json.dumps(values) for name, values in settings.model_dump().items()},
        **fingerprints,
        "packages": f"Python {platform.python_version()}, {packages}",
    }


def _write_plots(folder: Path, results: _Results) -> None:
    curves = pd.concat([history.assign(cell=cell) for cell, history in results.histories.items()])
    write_table(folder / "learning_curves.csv", curves)
    predictions, names = results.predictions[results.best], np.array(EXPRESSIONS)
    predicted = names[predictions.probabilities.argmax(axis=1)]
    actual = names[predictions.y_true]
    write_table(folder / "confusion.csv", pd.DataFrame({"actual": actual, "predicted": predicted}))


def _metrics(best: report_page.BestCell, board: pd.DataFrame) -> dict[str, Any]:
    """The scores for metrics.json. They depend on models and data only: no time is among them."""
    figures = ["val_accuracy", "val_loss", *(name for name in board.columns if name.startswith("test_"))]
    trained = board[board["status"] == "trained"].set_index("cell")[figures].round(4)
    rows = {cell: row.dropna().to_dict() for cell, row in trained.iterrows()}
    return {"best": {"cell": best.cell, **rows[best.cell]}, "cells": rows}


def _log_summary(best: report_page.BestCell, board: pd.DataFrame, target: Path) -> None:
    table = board.astype(object).where(board.notna(), "").to_dict("records")
    create_table_artifact(table, key="leaderboard", description=f"best on validation: {best.cell}")
    for page, key, text in (
        ("index.html", "report", "The report"),
        ("model.html", "model-card", "The model card"),
    ):
        create_link_artifact(report_url(page), link_text=text, key=key, description=f"{target}/{page}")
    interval = f"95 % interval {best.low:.4f} to {best.high:.4f}, {best.n} test pictures"
    get_run_logger().info(
        f"{best.cell}: test accuracy {best.accuracy:.4f} ({interval}); see {target}/index.html"
    )


if __name__ == "__main__":
    run_stage(report, workers=lambda settings: 1, stays_here=lambda settings: True)
