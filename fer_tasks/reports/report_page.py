"""The report as an HTML page that needs no server and no network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from fer_tasks.reports.render import Picture, render


@dataclass(frozen=True)
class FaceExample:
    """A test picture and a model's prediction for it."""

    picture: Picture
    true: str
    predicted: str
    confidence: float  # 0..1

    @property
    def right(self) -> bool:
        return self.true == self.predicted


@dataclass(frozen=True)
class BestCell:
    """The cell chosen by validation, with its scores on the test split."""

    cell: str
    accuracy: float
    low: float  # 95 % interval
    high: float
    macro_f1: float
    ece: float
    n: int
    majority: float  # accuracy of always predicting the most frequent class of train


@dataclass(frozen=True)
class CalibratedModel:
    """What models/best adds to its network's probabilities, and what comes of it on the test split."""

    temperature: float
    threshold: float  # of doubt, 0..1
    figures: Mapping[str, Any]  # of `confidence.confidence_figures`
    sets: Sequence[tuple[float, float, float]]  # the coverage asked for, the one reached, the mean size


@dataclass(frozen=True)
class ReportPage:
    """Everything that the report shows."""

    source: str
    generated: bool  # the source is the generated sample
    reduced: str  # how a reduced run limited each cell; empty for a full run
    best: BestCell
    calibrated: CalibratedModel
    candidates: int  # networks that the best was chosen from
    unlearnt: Sequence[str]  # expressions of which there is no train picture
    leaderboard: pd.DataFrame  # columns of `flows.grid.leaderboard`, failed cells last
    published: str  # whose figures are shown beside ours; empty if none
    distillation_gain: pd.DataFrame  # columns of `flows.grid.distillation_gain`: students and baselines
    per_class: pd.DataFrame
    recalls: pd.DataFrame  # cell, then a column an expression
    figures: Mapping[str, Picture]  # accuracies, confusion, reliability, answered, curves
    curves: int  # cells whose curves are drawn
    wrong: int  # test pictures that the best cell predicts wrong
    mistakes: Sequence[FaceExample]  # the surest first
    at_random: Sequence[FaceExample]
    grad_cam_faces: Sequence[FaceExample]  # each beside its heat map
    stages: pd.DataFrame  # stage, came_in, kept, rejected
    made: Mapping[str, str]

    @property
    def trained(self) -> pd.DataFrame:
        """The rows of the cells that were trained."""
        return self.leaderboard[self.leaderboard["status"] == "trained"]

    @property
    def failed(self) -> pd.DataFrame:
        """The rows of the cells that failed."""
        return self.leaderboard[self.leaderboard["status"] != "trained"]


def render_report(report: ReportPage) -> str:
    """The report, self-contained: figures are embedded, texts escaped."""
    return render("report.html.j2", report=report)
