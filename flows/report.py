"""models, data, test split -> reports/: the page, the leaderboard, the metrics and the plots."""

import json
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from prefect import flow, get_run_logger
from prefect.artifacts import create_link_artifact, create_table_artifact

from fer_tasks import cells, evaluation, page, plots
from fer_tasks.data_card import stage_counts
from fer_tasks.dataset import Dataset, read_dataset, write_bytes, write_table, write_text
from fer_tasks.labels import EXPRESSIONS
from fer_tasks.settings import Settings, load_grid
from flows import shown_faces
from flows.leaderboard import leaderboard, read_published, recalls
from flows.stage import report_url, run_stage
from flows.test_split import Tested, read_tested

STAGES = ("raw", "faces", "textfree", "clean")
PACKAGES = ("prefect", "dvc", "tensorflow", "keras", "mtcnn", "scikit-image", "onnxruntime")


@flow(name="report")
def report(
    settings: Settings,
    data: Path = Path("data"),
    models: Path = Path("models"),
    target: Path = Path("reports"),
) -> None:
    ids = [cell.id for cell in load_grid(settings.train.grid).cells]
    published = read_published(settings.train.grid, ids)
    board = cells.leaderboard(models, ids)
    trained = board[board["status"] == "trained"]["cell"]
    tested = {cell: read_tested(cell, models, data / "features") for cell in trained}
    board = leaderboard(board, tested, published, models, settings.report)
    histories = {cell: cells.read_history(models / cell) for cell in tested}
    stages = {name: read_dataset(data / name) for name in STAGES}
    clean, wanted = stages["clean"], settings.report
    best = _best(board.iloc[0], tested[board["cell"].iloc[0]], clean)
    of_best = tested[best.cell]
    seen = next((cell for cell in tested if cells.model_file(models / cell)), best.cell)
    whole = page.Report(
        source=settings.download.source,
        generated=settings.download.source.endswith("sample.yaml"),
        best=best,
        leaderboard=board,
        published=published.about if published else "",
        per_class=evaluation.per_class(of_best.y_true, of_best.probabilities),
        recalls=recalls(tested),
        figures=_figures(of_best, board, dict(list(histories.items())[: wanted.curves])),
        curves=min(wanted.curves, len(histories)),
        wrong=int((~of_best.right).sum()),
        mistakes=shown_faces.mistakes(of_best, clean, wanted.mistakes),
        at_random=shown_faces.at_random(of_best, clean, wanted.contact_sheet, wanted.seed),
        looked_into=seen,
        looks=shown_faces.looks(seen, tested[seen], clean, models, data / "features", wanted.grad_cam),
        stages=stage_counts(stage.info for stage in stages.values()),
        made=_made(settings, stages),
    )
    write_bytes(target / "index.html", page.render_page(whole).encode())
    write_table(target / "leaderboard.csv", board)
    _write_plots(target / "plots", of_best, histories)
    write_text(target / "metrics.json", json.dumps(_metrics(best, board), indent=2) + "\n")
    _tell(best, board, target)


def _best(row: pd.Series, tested: Tested, clean: Dataset) -> page.Best:
    labels = clean.manifest[clean.manifest["split"] == "train"]["label"]
    usual = EXPRESSIONS.index(labels.mode()[0])
    return page.Best(
        cell=row["cell"],
        accuracy=row["test_accuracy"],
        low=row["test_low"],
        high=row["test_high"],
        macro_f1=row["test_macro_f1"],
        ece=row["test_ece"],
        n=len(tested.y_true),
        majority=float((tested.y_true == usual).mean()),
    )


def _figures(
    tested: Tested, board: pd.DataFrame, histories: Mapping[str, pd.DataFrame]
) -> dict[str, page.Picture]:
    counts = evaluation.confusion(tested.y_true, tested.probabilities)
    bins = evaluation.reliability(tested.y_true, tested.probabilities)
    drawn = {
        "accuracies": (plots.accuracies(board), "Test accuracy of each cell with its 95 % interval"),
        "confusion": (plots.confusion_matrix(counts, EXPRESSIONS), "Confusion: true by named expression"),
        "reliability": (plots.reliability(bins), "Accuracy by confidence, and how many pictures have each"),
        "curves": (plots.learning_curves(histories), "Accuracy and loss by epoch of each cell"),
    }
    return {name: page.Picture(png, alt) for name, (png, alt) in drawn.items()}


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


def _write_plots(folder: Path, tested: Tested, histories: Mapping[str, pd.DataFrame]) -> None:
    curves = pd.concat([history.assign(cell=cell) for cell, history in histories.items()])
    write_table(folder / "learning_curves.csv", curves)
    names = np.array(EXPRESSIONS)
    guesses = names[tested.probabilities.argmax(axis=1)]
    write_table(
        folder / "confusion.csv", pd.DataFrame({"actual": names[tested.y_true], "predicted": guesses})
    )


def _metrics(best: page.Best, board: pd.DataFrame) -> dict[str, Any]:
    """A function of models and data: what a stopwatch says is not among them."""
    figures = ["val_accuracy", "val_loss", *(name for name in board.columns if name.startswith("test_"))]
    trained = board[board["status"] == "trained"].set_index("cell")[figures].round(4)
    rows = {cell: row.dropna().to_dict() for cell, row in trained.iterrows()}
    return {"best": {"cell": best.cell, **rows[best.cell]}, "cells": rows}


def _tell(best: page.Best, board: pd.DataFrame, target: Path) -> None:
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
