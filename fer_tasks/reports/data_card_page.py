"""The data card as an HTML page that needs no server and no network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from fer_tasks.reports.render import Picture, render


@dataclass(frozen=True)
class Montage:
    """Examples of pictures that have something in common."""

    title: str
    count: int  # of all of them
    about: str
    pictures: Sequence[Picture]
    notes: Sequence[str] = ()  # shown where there is no picture


@dataclass(frozen=True)
class DataCardPage:
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


def render_data_card(card: DataCardPage) -> str:
    """The data card, self-contained: figures are embedded, texts escaped."""
    return render("data_card.html.j2", card=card)
