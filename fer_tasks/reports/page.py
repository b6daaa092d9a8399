"""The report, the data card and the ablation as HTML pages that need no server and no network."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import jinja2
import pandas as pd


@dataclass(frozen=True)
class Picture:
    """A figure of a page: an image file's bytes, and what it shows for those who do not see it."""

    data: bytes
    alt: str
    caption: str = ""
    kind: str = "png"  # or jpeg

    @property
    def uri(self) -> str:
        return f"data:image/{self.kind};base64," + base64.b64encode(self.data).decode()


@dataclass(frozen=True)
class Face:
    """A test picture and what a model says of it."""

    picture: Picture
    true: str
    predicted: str
    confidence: float  # 0..1

    @property
    def right(self) -> bool:
        return self.true == self.predicted


@dataclass(frozen=True)
class Best:
    """The cell that validation chose, on the test split."""

    cell: str
    accuracy: float
    low: float  # 95 % interval
    high: float
    macro_f1: float
    ece: float
    n: int
    majority: float  # accuracy of always answering the class that is most frequent in train


@dataclass(frozen=True)
class Report:
    """Everything that the report shows, from the answer to how it was made."""

    source: str
    generated: bool  # the source is the generated sample
    reduced: str  # how much less each cell saw than the grid says; empty where it saw all
    best: Best
    candidates: int  # networks that it was chosen among
    leaderboard: pd.DataFrame  # columns of `flows.grid.leaderboard`, failed cells last
    published: str  # whose figures stand beside ours; empty where there are none
    lessons: pd.DataFrame  # columns of `flows.grid.lessons`: each student beside its twin
    per_class: pd.DataFrame
    recalls: pd.DataFrame  # cell, then a column an expression
    figures: Mapping[str, Picture]  # accuracies, confusion, reliability, curves
    curves: int  # cells whose curves are drawn
    wrong: int  # test pictures that the best cell names wrong
    mistakes: Sequence[Face]  # the surest first
    at_random: Sequence[Face]
    looks: Sequence[Face]  # each beside its heat map
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


@dataclass(frozen=True)
class Montage:
    """Some of the pictures that have something in common."""

    title: str
    count: int  # of all of them
    about: str
    pictures: Sequence[Picture]
    told: Sequence[str] = ()  # what is said instead where there is no picture to show


@dataclass(frozen=True)
class DataCard:
    """Everything that the data card shows; the tables are those of `fer_tasks.reports.data_card_tables`."""

    source: str
    generated: bool  # the source is the generated sample
    stages: pd.DataFrame
    classes: pd.DataFrame
    imbalance: float
    losses: pd.DataFrame
    rejected: Mapping[str, Sequence[Montage]]  # by stage
    rules: pd.DataFrame
    doubted: Sequence[Montage]
    copies: pd.DataFrame
    groups: Sequence[Montage]
    histograms: Sequence[Picture]
    unmeasured: Sequence[str]
    medians: pd.DataFrame
    pairs: pd.DataFrame
    pair_faces: Sequence[Montage]
    people: pd.DataFrame
    relabelled: int
    as_suggested: int
    not_applied: Mapping[str, int]
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
    return _render("report.html.j2", report=report)


def render_data_card(card: DataCard) -> str:
    """The data card, self-contained: figures are embedded, texts escaped."""
    return _render("data_card.html.j2", card=card)


def render_ablation(ablation: Ablation) -> str:
    """The ablation's page, self-contained as the report."""
    return _render("ablation.html.j2", ablation=ablation)


def _render(template: str, **shown: Report | DataCard | Ablation) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fer_tasks.reports"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for how in (_percent, _tenths, _points, _number, _duration, _size, _decimals):
        environment.filters[how.__name__.removeprefix("_")] = how
    return environment.get_template(template).render(**shown, rows=lambda table: table.to_dict("records"))


def _percent(share: float) -> str:
    return "–" if pd.isna(share) else f"{share:.1%}".replace("%", " %")


def _tenths(share: float) -> str:
    return _percent(share).removesuffix(" %")


def _points(difference: float) -> str:
    return "–" if pd.isna(difference) else f"{round(100 * difference, 1) + 0:+.1f}".replace("-", "−")


def _number(value: float) -> str:
    return "–" if pd.isna(value) else f"{value:,.0f}"


def _decimals(value: float, digits: int) -> str:
    return "–" if pd.isna(value) else f"{value:,.{digits}f}"


def _duration(seconds: float) -> str:
    if pd.isna(seconds):
        return "–"
    if seconds < 100:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"


def _size(n: float) -> str:
    return "–" if pd.isna(n) else f"{n / 1e6:,.1f} MB"
