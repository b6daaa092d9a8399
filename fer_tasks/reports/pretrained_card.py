"""The card of the pretrained network, as Markdown."""

from typing import Any

from fer_tasks.reports.render import render


def render_card(info: dict[str, Any]) -> str:
    """The card of a model with this model.json, whose figures are of FER2013 by the votes of FER+."""
    return render("pretrained_card.md.j2", info=info, test=info["figures"]["test"])
