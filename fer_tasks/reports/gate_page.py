"""The gate's decision as a page of Markdown, for Prefect's UI."""

from collections.abc import Mapping
from typing import Any

from fer_tasks.reports.render import render


def gate_page(
    row: Mapping[str, str],
    comparison: Mapping[str, Any] | None,
    challenger: Mapping[str, Any] | None,
    champion: Mapping[str, Any] | None,
    changes: str,
) -> str:
    """`row`: of the ledger. `comparison`: the fields of `gate.Comparison`. `challenger`, `champion`: `name`
    and `size` of the network in bytes. None where there is none. `changes`: of the test split."""
    return render(
        "gate.md.j2",
        row=row,
        comparison=comparison,
        challenger=challenger,
        champion=champion,
        changes=changes,
    )
