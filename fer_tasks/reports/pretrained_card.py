"""The card of the pretrained network, as Markdown."""

from collections.abc import Mapping
from typing import Any

from fer_tasks.reports.render import render


def render_card(
    info: Mapping[str, Any], made: Mapping[str, Any], counts: Mapping[str, int], margin: float, machine: str
) -> str:
    """The card of a model of FER2013 with the votes of FER+.

    `info`: its model.json, with `by_expression` and `over_crops` of the test split. `made`: the cell.json of
    its training. `counts`: pictures that it has learnt from, by split. `margin`: that of crops of size 1.
    `machine`: on which it was trained.
    """
    test = info["figures"]["test"]
    return render(
        "pretrained_card.md.j2",
        info=info,
        test=test,
        made=made,
        counts=counts,
        margin=margin,
        machine=machine,
    )
