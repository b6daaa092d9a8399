"""The ablation as an HTML page that needs no server and no network."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from fer_tasks.reports.render import Picture, render


@dataclass(frozen=True)
class AblationPage:
    """Everything that the ablation's page shows."""

    source: str
    generated: bool  # the source is the generated sample
    table: pd.DataFrame  # a row a step: `cleaning.ablation.changes`, rejects, `bootstrap.compare`
    figure: Picture
    tested: int  # faces
    judged: int  # of them, by people
    doubted: int  # of them, by a rule
    min_judged: int
    seeds: int
    made: Mapping[str, str]

    @property
    def earned(self) -> pd.Series:
        """The row of the last step, whose `_total` columns are the gain of all of cleaning."""
        return self.table.iloc[-1]


def render_ablation(ablation: AblationPage) -> str:
    """The ablation's page, self-contained as the report."""
    return render("ablation.html.j2", ablation=ablation)
