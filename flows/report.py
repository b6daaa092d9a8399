"""models, data, test split -> reports/: the page, the metrics and the plots."""

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
from fer_tasks.images import read_image
from fer_tasks.labels import EXPRESSIONS
from fer_tasks.settings import Settings, load_grid
from flows.predictions import Answers, Split, answers
from flows.stage import report_url, run_stage

STAGES = ("raw", "faces", "textfree", "clean")
PACKAGES = ("prefect", "dvc", "tensorflow", "keras", "mtcnn", "scikit-image", "onnxruntime")


@flow(name="report")
def report(
    settings: Settings,
    data: Path = Path("data"),
    models: Path = Path("models"),
    target: Path = Path("reports"),
) -> None:
    board = cells.leaderboard(models, load_grid(settings.train.grid).ids)
    trained = board[board["status"] == "trained"]
    tested = answers(trained["cell"], Split("test", models, data / "features", settings.train.threads))
    board = _with_test_scores(board, tested, settings)
    best = cells.networks(board).iloc[0]
    stages = {name: read_dataset(data / name) for name in STAGES}
    histories = {cell: cells.read_history(models / cell) for cell in cells.networks(trained)["cell"]}
    whole = page.Report(
        source=settings.download.source,
        generated=settings.download.source.endswith("sample.yaml"),
        best=_best(best, tested[best["cell"]], stages["clean"]),
        leaderboard=board,
        per_class=evaluation.per_class(*tested[best["cell"]][1:]),
        figures=_figures(tested[best["cell"]], histories, stages["clean"], settings),
        stages=stage_counts(stage.info for stage in stages.values()),
        made=_made(settings, stages),
    )
    write_bytes(target / "index.html", page.render_page(whole).encode())
    _write_plots(target / "plots", tested[best["cell"]], histories)
    write_text(target / "metrics.json", json.dumps(_metrics(whole.best, board), indent=2) + "\n")
    _tell(whole.best, board, target)


def _with_test_scores(board: pd.DataFrame, tested: Mapping[str, Answers], settings: Settings) -> pd.DataFrame:
    rows = []
    for cell, (_, y_true, probabilities) in tested.items():
        right = probabilities.argmax(axis=1) == y_true
        low, high = evaluation.accuracy_interval(right, settings.report.bootstrap, settings.report.seed)
        scores = {f"test_{name}": value for name, value in evaluation.scores(y_true, probabilities).items()}
        rows.append({"cell": cell, **scores, "test_low": low, "test_high": high})
    return board.merge(pd.DataFrame(rows), on="cell", how="left")


def _best(row: pd.Series, tested: Answers, clean: Dataset) -> page.Best:
    labels = clean.manifest[clean.manifest["split"] == "train"]["label"]
    usual = EXPRESSIONS.index(labels.mode()[0])
    return page.Best(
        cell=row["cell"],
        accuracy=row["test_accuracy"],
        low=row["test_low"],
        high=row["test_high"],
        macro_f1=row["test_macro_f1"],
        n=len(tested.y_true),
        majority=float((tested.y_true == usual).mean()),
    )


def _figures(
    tested: Answers, histories: Mapping[str, pd.DataFrame], clean: Dataset, settings: Settings
) -> dict[str, page.Picture]:
    counts = evaluation.confusion(tested.y_true, tested.probabilities)
    shown = np.random.default_rng(settings.report.seed).permutation(len(tested.y_true))
    shown = shown[: settings.report.contact_sheet]
    files = clean.manifest.set_index("image_id")["file"]
    sheet = plots.contact_sheet(
        [read_image(clean.root / files[i]) for i in tested.faces["image_id"].iloc[shown]],
        tested.faces["label"].iloc[shown].tolist(),
        [EXPRESSIONS[k] for k in tested.probabilities[shown].argmax(axis=1)],
        tested.probabilities[shown].max(axis=1).tolist(),
    )
    curves = plots.learning_curves(histories)
    return {
        "confusion": page.Picture(
            plots.confusion_matrix(counts, EXPRESSIONS), "Confusion matrix: true by predicted expression"
        ),
        "curves": page.Picture(curves, "Accuracy and loss by epoch of each cell"),
        "contact_sheet": page.Picture(sheet, "Test pictures with their true and predicted expression"),
    }


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


def _write_plots(folder: Path, tested: Answers, histories: Mapping[str, pd.DataFrame]) -> None:
    curves = pd.concat([history.assign(cell=cell) for cell, history in histories.items()])
    write_table(folder / "learning_curves.csv", curves)
    names = np.array(EXPRESSIONS)
    guesses = names[tested.probabilities.argmax(axis=1)]
    write_table(
        folder / "confusion.csv", pd.DataFrame({"actual": names[tested.y_true], "predicted": guesses})
    )


def _metrics(best: page.Best, board: pd.DataFrame) -> dict[str, Any]:
    figures = ["val_accuracy", "val_loss", *(name for name in board.columns if name.startswith("test_"))]
    trained = board[board["status"] == "trained"].set_index("cell")[figures].round(4)
    return {
        "best": {"cell": best.cell, **trained.loc[best.cell].to_dict()},
        "cells": trained.to_dict("index"),
    }


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
