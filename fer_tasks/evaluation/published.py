"""Published figures for a grid's cells: `grids/published/<grid>.csv`."""

import csv
from typing import NamedTuple

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fer_tasks.errors import UserError


class BadFigures(UserError):
    """A table of published figures that cannot be read."""


class Published(NamedTuple):
    """Figures as they were published."""

    about: str  # their source: the lines at the top of the table that begin with #
    figures: pd.DataFrame  # cell, test_accuracy (0..1), test_loss (NaN if not published)


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    cell: str
    test_accuracy: float = Field(ge=0, le=1)
    test_loss: float | None = Field(None, ge=0)


COLUMNS = list(_Row.model_fields)


def parse_published(text: str, file: str) -> Published:
    """Parse a table of COLUMNS; `file` is its name, for messages.

    Raises:
        BadFigures: the columns are wrong, a figure is out of range, or a cell is repeated.
    """
    lines = text.splitlines()
    head = [line for line in lines if line.startswith("#")]
    rows = [(n, line) for n, line in enumerate(lines, 1) if line.strip() and not line.startswith("#")]
    table = csv.reader(line for _, line in rows)
    if next(table, None) != COLUMNS:
        raise BadFigures(f"{file}: the first line after the # lines must be {','.join(COLUMNS)}")
    by_cell: dict[str, _Row] = {}
    for (n, _), values in zip(rows[1:], table, strict=True):
        row = _row(values, f"{file}: line {n}")
        if row.cell in by_cell:
            raise BadFigures(f"{file}: line {n}: {row.cell} appears twice")
        by_cell[row.cell] = row
    figures = pd.DataFrame([row.model_dump() for row in by_cell.values()], columns=COLUMNS)
    return Published(" ".join(line.lstrip("# ") for line in head), figures.astype({"test_loss": float}))


def _row(values: list[str], where: str) -> _Row:
    if len(values) != len(COLUMNS):
        raise BadFigures(f"{where}: it has {len(values)} values, not {','.join(COLUMNS)}")
    try:
        return _Row(**{name: value for name, value in zip(COLUMNS, values, strict=True) if value.strip()})
    except ValidationError as error:
        problem = error.errors()[0]
        given = values[COLUMNS.index(str(problem["loc"][0]))]
        raise BadFigures(f"{where}: {problem['loc'][0]}: {problem['msg']} (it is {given!r})") from None
