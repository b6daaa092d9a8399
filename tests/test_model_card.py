"""The model card: what it says whatever its figures are, in Markdown and as a page."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import yaml

from fer_tasks.evaluation.slices import LEAST, accuracy_by_slice, largest_gaps, slices_of
from fer_tasks.labels import EXPRESSIONS, VOTES
from fer_tasks.reports import plots
from fer_tasks.reports.markdown import plain, to_html
from fer_tasks.reports.model_card_page import (
    SLICES,
    CardData,
    ModelCard,
    front_matter,
    render_model_card,
    render_model_page,
)
from fer_tasks.reports.render import Picture
from fer_tasks.storage.dataset import Dataset, read_dataset
from flows.grid.predictions import Predictions
from flows.model_card import Asked, known_of, make_card
from tests.test_page import outline, told

TEST = {
    "data": "photos, test split",
    "faces": 140,
    "accuracy": 0.5,
    "accuracy_low": 0.418,
    "mean_recall": 0.5,
}
TEST |= {
    "accuracy_high": 0.582,
    "ece_before": 0.123,
    "ece_after": 0.031,
    "answered": 0.8,
    "set_size_0.9": 3.4,
}
TEST |= {"answered_accuracy": 0.55, "coverage_0.9": 0.912}
SETTINGS = {"model": "resnet", "options": {"filters": 4}, "labels": "own", "epochs": 3, "optimizer": "sgd"}
SETTINGS |= {"learning_rate": 0.1, "augmentation": "none", "seed": 7}
INFO = {
    "name": "one",
    "fingerprint": "f00",
    "labels": [*EXPRESSIONS],
    "parameters": 1234567,
    "prior": [1 / 7] * 7,
}
INFO |= {"recipe": [{"op": "gray"}, {"op": "resize", "size": 48}], "crop": {"mode": "fast", "margin": 0.2}}
INFO |= {"input": {"shape": [48, 48, 1]}, "temperature": 1.6, "doubt": {"threshold": 0.4}, "onnx": {}}
INFO |= {"figures": {"test": {**TEST, "balanced": TEST}}, "versions": {"keras": "3"}, "licence": "MIT"}
MADE = {"cell": "one", "settings": SETTINGS, "best_epoch": 2, "batch_size": 16, "train_seconds": 61}
MADE |= {"left_out": {}}
DATA = CardData("photos", False, "", "", 525, {"train": 300, "val": 60, "test": 140}, 0)
PICTURES = (Picture(b"light", "accuracy"), Picture(b"dark", "accuracy"))


def card(data: dict | None = None, **changes: object) -> ModelCard:
    """140 faces of seven expressions; every one of the first 60 is small and right, and 20 of the others."""
    n = np.arange(140)
    faces = pd.DataFrame({"label": np.array(EXPRESSIONS)[n % 7], "covered": np.where(n < 60, 0.3, 0.05)})
    faces["group_a|ge"] = np.where(n < 10, "<b>*old*</b>", "young")
    slices = {by: of_face for by, of_face in slices_of(faces).items() if of_face.notna().any()}
    table = accuracy_by_slice(slices, n < 80, n < 112)
    parts = {
        "info": INFO,
        "made": MADE,
        "data": replace(DATA, **(data or {})),
        "candidates": 3,
        "slices": table,
    }
    parts |= {"gaps": largest_gaps(table), "unmeasured": ["yaw"], "least": LEAST, "ms_a_face": 1.25}
    return ModelCard(**{**parts, "unlearnt": [], "plots": PICTURES, **changes})


def text_of(one: ModelCard) -> str:
    return re.sub(r"\s+", " ", render_model_card(one))


def test_the_front_matter_is_what_the_hub_reads():
    front = yaml.safe_load(render_model_card(card()).split("---\n")[1])
    assert front == front_matter(card())
    assert (front["library_name"], front["pipeline_tag"]) == ("keras", "image-classification")
    (model,) = front["model-index"]
    (result,) = model["results"]
    assert result["dataset"] == {"name": "photos, test split", "type": "photos", "split": "test"}
    assert result["metrics"][0] == {
        "type": "accuracy",
        "value": 0.5,
        "name": "Accuracy (95 % interval 0.4180 to 0.5820)",
    }
    assert front["license"] == "unknown" and front_matter(card({"generated": True}))["license"] == "mit"


@pytest.mark.parametrize("name", ["---", "a: b\n# c", "kim's photos/ö", "owner/name", "…"])
def test_front_matter_holds_any_name_of_data(name):
    front = yaml.safe_load(render_model_card(card({"name": name})).split("\n---\n")[0].removeprefix("---"))
    assert re.fullmatch(r"[\w./-]+", front["model-index"][0]["results"][0]["dataset"]["type"])


def test_a_figure_is_told_with_what_it_is_of_and_its_interval():
    text = text_of(card())
    assert (
        "**50.0 %** of 140 faces of the test split of photos named right (95 % interval 41.8 % to 58.2 %)"
        in text
    )
    assert "| accuracy | 140 | **50.0 % (41.8 % to 58.2 %)** |" in text
    assert "300 faces taught it, 60 (validation)" in text and "525 came in, 500 are clean" in text
    assert "from 12.3 % to 3.1 %" in text and "1.2 ms for one face" in text and "(data.html)" in text


def test_slices_their_gaps_and_the_few():
    text = text_of(card())
    assert "| covered | 0.1 to 0.4 | 60 | 100.0 % (94.0 % to 100.0 %) | 100.0 % |" in text
    assert "| covered | over 0.4 | 0, too few | – | – |" in text
    assert "| expression | angry | 20, too few | 60.0 % (38.7 % to 78.1 %) |" in text
    assert "Not compared, since fewer than two slices have 30 faces: expression, group\\_a\\|ge." in text
    assert "| covered | up to 0.1 | 0.1 to 0.4 | +75.0 (+62.9 to +83.2) | **more than chance** |" in text
    assert "More than chance: **covered**, 0.1 to 0.4 against up to 0.1 (+75.0 points)." in text
    assert "Not known of any test face: yaw." in text and "nan" not in text


def test_what_it_is_not_for_and_by_which_sources():
    text = text_of(card())
    for said in (
        "judge people at work or in education",
        "Article 5(1)(f)",
        "guess who lies",
        "diagnose",
        "Barrett",
    ):
        assert said in text


def test_a_licence_is_what_the_source_states_and_unknown_otherwise():
    assert "| **unknown**: the source states none." in text_of(card())
    stated = {"licence": "CC0: Public Domain", "kaggle": "owner/name", "name": "owner/name"}
    assert "| CC0: Public Domain, as Kaggle states for owner/name |" in text_of(card(stated))
    generated = text_of(card({"generated": True}))
    assert "in the public domain" in generated and "say nothing about photos of real people" in generated


def test_labels_by_votes_are_told_with_the_faces_that_they_leave_out():
    made = {**MADE, "settings": {**SETTINGS, "labels": "votes"}, "left_out": {"no_votes": 3}}
    text = text_of(card({"test_left_out": 5}, made=made))
    assert "without 5 that have no votes" in text and "| 3 without votes |" in text
    assert "votes of several taggers" in text


def test_what_a_model_lacks_is_told():
    info = {**INFO, "onnx": {"reason": "no <such> layer"}}
    info["figures"] = {"test": {**INFO["figures"]["test"], "answered": 0.0, "answered_accuracy": None}}
    text = text_of(card(info=info, unlearnt=["fear"], ms_a_face=np.nan, unmeasured=[]))
    assert "no &lt;such&gt; layer" in text and "no picture of fear" in text and "nan" not in text
    assert "leaves 0.0 % of the test faces answered." in text and "Not known" not in text
    assert "Not measured." in text


def test_names_from_the_source_are_shown_and_do_nothing():
    html = render_model_page(card({"name": "<script>x</script>|*y*"}))
    assert "<script>" not in html and "&lt;script&gt;x&lt;/script&gt;|*y*" in html
    assert "<b>*old*</b>" not in html and "&lt;b&gt;*old*&lt;/b&gt;" in html
    assert "<td>group_a|ge</td>" in html.replace(' style="text-align:left"', "")


def test_the_page_is_whole_and_names_what_lies_beside_it():
    html = render_model_page(card())
    page = outline(html)
    assert {one for one in page.sources if not one.startswith(("data:image/png;base64,", "#"))} == {
        "data.html",
        "index.html",
    }
    links = [one.removeprefix("#") for one in page.sources if one.startswith("#")]
    assert len(links) == 9 and all(f'<h2 id="{link}">' in html for link in links)
    assert html.count(PICTURES[0].uri) == html.count(PICTURES[1].uri) == 1
    assert "50.0 % of 140 faces of the test split of photos named right by one" in told(html)


def test_markdown_of_any_text_shows_that_text():
    nasty = "a|b *c* [d](e) `f` <g> &amp; \\ # ~h~\n- i\x00"
    html = to_html(f"| t |\n|---|\n| {plain(nasty)} |\n", {}).html
    assert "<td>a|b *c* [d](e) `f` &lt;g&gt; &amp;amp; \\ # ~h~ - i</td>" in html


def test_the_picture_names_slices_in_either_theme():
    one = card()
    light, dark = (plots.slices(one.slices, (0.5, 0.418, 0.582), dark) for dark in (False, True))
    assert light[:4] == dark[:4] == b"\x89PNG" and light != dark
    assert SLICES in render_model_card(one)


@pytest.mark.parametrize("labels", ["own", "votes"])
def test_the_card_is_of_the_calibrated_answers_by_the_labels_of_the_cell(drawn_data, labels):
    """Every face is named happy; so do the votes on the first say, and those on the second name none."""
    clean = read_dataset(drawn_data / "clean")
    faces = clean.manifest.head(20)
    votes = np.zeros((len(faces), 8))
    votes[0, EXPRESSIONS.index("happy")] = votes[1, -1] = 1
    votes[2:] = np.nan
    faces = faces.join(pd.DataFrame(votes, columns=VOTES, index=faces.index))
    own = faces["label"].map(EXPRESSIONS.index).to_numpy()
    said = np.full((len(faces), 7), 0.1, np.float32)
    said[:, EXPRESSIONS.index("happy")] = 0.4
    asked = Asked(
        INFO, {**MADE, "settings": {**SETTINGS, "labels": labels}}, Predictions(faces, own, said), 1.0, 3
    )
    raw = Dataset(drawn_data, faces, faces, {"kept": 9, "rejected": {}, "settings": {"source": "photos"}})
    one = make_card(asked, raw, clean.root)
    by_expression = one.slices[one.slices["by"] == "expression"].set_index("slice")
    happy = int((faces["label"] == "happy").sum()) if labels == "own" else 1
    assert by_expression["right"].sum() == by_expression.loc["happy", "right"] == happy
    assert by_expression["faces"].sum() == (20 if labels == "own" else 1)
    assert one.data.test_left_out == (0 if labels == "own" else 19)
    assert one.slices["answered"].dropna().eq(0).all(), "at a temperature of 1.6 none reaches 0.4"
    assert "face size" in set(one.slices["by"]) and "nan" not in text_of(one)


def test_data_of_a_former_version_has_no_measures(drawn_data, tmp_path):
    clean = read_dataset(drawn_data / "clean")
    without = Dataset(tmp_path, clean.manifest.drop(columns=["box_height"]), clean.rejected, clean.info)
    known = known_of(without, clean.manifest["image_id"])
    assert len(known) == len(clean.manifest) and known.empty
