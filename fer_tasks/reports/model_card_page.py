"""The model card: Markdown with front matter for Hugging Face's hub, and the same text as an HTML page."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import yaml
from markupsafe import Markup

from fer_tasks.reports.markdown import plain, to_html
from fer_tasks.reports.render import Picture, render

SLICES = "plots/slices.png"  # where the card's picture lies beside it
# Figures of model.json, as the hub calls them: its kind of metric, and its name.
METRICS = {
    "accuracy": ("accuracy", "Accuracy"),
    "mean_recall": ("recall", "Mean recall of the expressions"),
    "ece_after": ("expected_calibration_error", "Expected calibration error"),
    "answered": ("coverage", "Answered without doubt"),
    "answered_accuracy": ("accuracy", "Accuracy of the answers without doubt"),
}


@dataclass(frozen=True)
class CardData:
    """What a model has learnt from and was tried on."""

    name: str
    generated: bool  # the source is the generated sample
    licence: str  # of the pictures, as the source states it; "" where it states none
    kaggle: str  # owner/name of the set on Kaggle; "" if it is none
    came_in: int  # pictures of the source
    counts: Mapping[str, int]  # clean faces by split
    test_left_out: int  # test faces without votes for one of the expressions, where votes are the labels


@dataclass(frozen=True)
class ModelCard:
    """Everything that the model card says."""

    info: Mapping[str, Any]  # model.json
    made: Mapping[str, Any]  # cell.json
    data: CardData
    candidates: int  # networks that the model was chosen from
    slices: pd.DataFrame  # of `slices.accuracy_by_slice`, only measures and groups that are known of a face
    gaps: pd.DataFrame  # of `slices.largest_gaps`, a row for each `by` of `slices`
    unmeasured: Sequence[str]  # measures and groups that no test face has
    least: int  # faces that a slice needs to be compared
    ms_a_face: float  # NaN if unknown
    unlearnt: Sequence[str]  # expressions of which there is no train picture
    plots: Sequence[Picture]  # accuracy by slice, for light and for dark pages

    @property
    def test(self) -> Mapping[str, Any]:
        """The figures of the test split."""
        return self.info["figures"]["test"]

    @property
    def wide(self) -> pd.DataFrame:
        """The gaps that are more than chance."""
        return self.gaps[self.gaps["beyond_chance"]]


def front_matter(card: ModelCard) -> dict[str, Any]:
    """The card's metadata, as Hugging Face's hub reads it (hub-docs/modelcard.md)."""
    low, high = card.test["accuracy_low"], card.test["accuracy_high"]
    metrics = [
        {"type": kind, "value": round(card.test[figure], 4), "name": name}
        for figure, (kind, name) in METRICS.items()
        if card.test[figure] is not None
    ]
    metrics[0]["name"] += f" (95 % interval {low:.4f} to {high:.4f})"
    named = re.sub(r"[^\w./-]+", "-", card.data.name).strip("-./") or "data"
    dataset = {"name": card.test["data"], "type": named, "split": "test"}
    task = {"type": "image-classification", "name": "Facial expression recognition"}
    result = {"task": task, "dataset": dataset, "metrics": metrics}
    return {
        "license": "mit" if card.data.generated else "unknown",  # the pictures' terms may bind the weights
        "library_name": "keras",
        "pipeline_tag": "image-classification",
        "tags": ["facial-expression-recognition", "onnx"],
        "metrics": ["accuracy", "recall"],
        "model-index": [{"name": card.info["name"], "results": [result]}],
    }


def render_model_card(card: ModelCard) -> str:
    """The card as Markdown; it names its picture by the path SLICES."""
    front = yaml.safe_dump(front_matter(card), sort_keys=False, allow_unicode=True, width=110)
    return render("model_card.md.j2", card=card, front=Markup(front), body=Markup(_body(card)), plain=plain)


def render_model_page(card: ModelCard) -> str:
    """The card as a page, self-contained as the report."""
    return render("model_card.html.j2", card=card, body=to_html(_body(card), {SLICES: card.plots}))


def _body(card: ModelCard) -> str:
    return render("model_card_body.md.j2", card=card, plain=plain, picture=SLICES)
