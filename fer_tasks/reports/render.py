"""Render pages from templates, with filters that format numbers."""

import base64
from dataclasses import dataclass
from typing import Any

import jinja2
import pandas as pd


@dataclass(frozen=True)
class Picture:
    """A figure of a page: an image file's bytes, and its text alternative."""

    data: bytes
    alt: str
    caption: str = ""
    kind: str = "png"  # or jpeg

    @property
    def uri(self) -> str:
        return f"data:image/{self.kind};base64," + base64.b64encode(self.data).decode()


def render(template: str, **shown: Any) -> str:
    """A page of `templates/`, self-contained: pictures are embedded, texts escaped."""
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
