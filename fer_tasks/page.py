"""The report and the ablation as HTML pages that need no server and no network."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import jinja2
import pandas as pd


@dataclass(frozen=True)
class Picture:
    """A figure of the page: PNG bytes, and what it shows for those who do not see it."""

    png: bytes
    alt: str

    @property
    def uri(self) -> str:
        return "data:image/png;base64," + base64.b64encode(self.png).decode()


@dataclass(frozen=True)
class Best:
    """The cell that validation chose, on the test split."""

    cell: str
    accuracy: float
    low: float  # 95 % interval
    high: float
    macro_f1: float
    n: int
    majority: float  # accuracy of always answering the class that is most frequent in train


@dataclass(frozen=True)
class Rejection:
    """One reason at one stage: how many pictures it took, and some of them."""

    stage: str
    reason: str
    count: int
    pictures: Picture | None  # None where there is nothing to show
    told: Sequence[str]  # what to say instead


@dataclass(frozen=True)
class Report:
    """Everything that the page shows, from the answer to how it was made."""

    source: str
    generated: bool  # the source is the generated sample
    best: Best
    leaderboard: pd.DataFrame
    per_class: pd.DataFrame
    figures: Mapping[str, Picture]  # confusion, curves, contact_sheet, stages
    stages: pd.DataFrame  # stage, came_in, kept, rejected
    rejections: Sequence[Rejection]
    splits: pd.DataFrame  # expressions x splits, counts
    made: Mapping[str, str]


@dataclass(frozen=True)
class Ablation:
    """Everything that the ablation's page shows."""

    source: str
    generated: bool  # the source is the generated sample
    table: pd.DataFrame  # a row a step: `cleaning.ablation.changes`, rejects, `comparison.compare`
    figure: Picture
    tested: int  # faces
    judged: int  # of them, by people
    doubted: int  # of them, by a rule
    min_judged: int
    seeds: int
    made: Mapping[str, str]

    @property
    def earned(self) -> pd.Series:
        """The row of the last step, whose `_total` says what all of cleaning brought."""
        return self.table.iloc[-1]


def render_page(report: Report) -> str:
    """The report, self-contained: figures are embedded, texts escaped."""
    return _render("page.html.j2", report=report)


def render_ablation(ablation: Ablation) -> str:
    """The ablation's page, self-contained as the report."""
    return _render("ablation.html.j2", ablation=ablation)


def _render(template: str, **shown: Report | Ablation) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fer_tasks", ""), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"percent": _percent, "tenths": _tenths, "points": _points, "number": _number}
    return environment.get_template(template).render(**shown, rows=lambda table: table.to_dict("records"))


def _percent(share: float) -> str:
    return "–" if pd.isna(share) else f"{share:.1%}".replace("%", " %")


def _tenths(share: float) -> str:
    return _percent(share).removesuffix(" %")


def _points(difference: float) -> str:
    return "–" if pd.isna(difference) else f"{round(100 * difference, 1) + 0:+.1f}".replace("-", "−")


def _number(value: float) -> str:
    return "–" if pd.isna(value) else f"{value:,.0f}"
