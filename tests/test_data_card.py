"""The data card: every picture is counted, every reason shown, whatever the data lack."""

import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as search
from hypothesis import strategies as st

from fer_tasks.cleaning.decisions import COLUMNS as DECISIONS
from fer_tasks.cleaning.rules import COLUMNS as DOUBTS
from fer_tasks.cleaning.rules import RULE_NAMES, RULES, doubts
from fer_tasks.labels import EXPRESSIONS
from fer_tasks.reports import data_card_tables as tables
from fer_tasks.reports.data_card_page import render_data_card
from fer_tasks.settings import load_settings
from fer_tasks.storage.dataset import REJECTED_COLUMNS, write_dataset, write_image
from fer_tasks.storage.files import write_table
from fer_tasks.storage.images import encode_png
from flows.data_card import make_card
from tests.test_page import outline

ROOT = Path(__file__).parents[1]
SETTINGS = load_settings(ROOT / "params.yaml")
NOTHING = pd.DataFrame(columns=DOUBTS)
MEASURES = {"yaw": 0.1, "roll": 1.0, "second_face": 0.0, "eye_distance": 40.0, "brightness": 120.0}
MEASURES |= {"contrast": 50.0, "sharpness": 300.0, "flatness": 0.1, "score": 0.99}
MEASURES |= {"covered": 0.1, "label_doubt": 0.4}


def photo_id(n: int) -> str:
    return f"{n:016x}"


class Line:
    """The four datasets, with one face of each expression and what a test changes of them.

    Nothing is measured of the faces until a test says so: each measure is a histogram to draw.
    """

    def __init__(self, root: Path):
        self.root = root
        ids = [f"{photo_id(n)}-0" for n in range(len(EXPRESSIONS))]
        self.faces = pd.DataFrame({"image_id": ids, "label": EXPRESSIONS, "pixels": ids, "split": "train"})
        self.measures = self.faces[["image_id", "label", "split"]].assign(group_id=ids, suggestion="happy")
        unmeasured = dict.fromkeys([rule.measure for rule in RULES], np.nan)
        self.measures = self.measures.assign(**unmeasured, copy_of="")
        self.doubted = NOTHING
        self.dropped = pd.DataFrame(columns=REJECTED_COLUMNS)  # by clean
        self.undecoded = pd.DataFrame(columns=[*REJECTED_COLUMNS, "source"])
        self.faceless = pd.DataFrame(columns=REJECTED_COLUMNS)
        self.decisions = pd.DataFrame(columns=DECISIONS)

    def write(self) -> "Line":
        png = encode_png(np.arange(1200, dtype=np.uint8).reshape(20, 20, 3))
        sources = EXPRESSIONS[: len(self.faces)]
        faces = self.faces.assign(source=sources, box_height=30.0, box_width=20.0)
        raw = faces.assign(image_id=faces["image_id"].str[:16], width=40, height=30)
        lost = self.faceless[["image_id"]].assign(label="sad", width=9, height=9)
        clean = faces[~faces["image_id"].isin(self.dropped["image_id"])]
        stages = {
            "raw": (pd.concat([raw, lost]), self.undecoded, {"source": "photos", "min_side": 24}),
            "faces": (faces, self.faceless, {"min_face": 24}),
            "textfree": (faces, pd.DataFrame(columns=REJECTED_COLUMNS), {}),
            "clean": (clean, self.dropped, SETTINGS.clean.model_dump()),
        }
        for name, (manifest, rejected, settings) in stages.items():
            folder = self.root / "data" / name
            files = [write_image(folder, i, png) for i in manifest["image_id"]]
            write_dataset(folder, manifest.assign(file=files), rejected, {}, settings)
        write_table(self.root / "data" / "clean" / "measures.csv", self.measures)
        write_table(self.root / "data" / "clean" / "doubts.csv", self.doubted)
        write_table(self.root / "decisions.csv", self.decisions)
        return self

    def page(self) -> str:
        self.write()
        card = make_card(self.root / "data", self.root / "decisions.csv", SETTINGS.data_card)
        html = render_data_card(card)
        outline(html)
        return re.sub(r"\s+", " ", html)


def cells(html: str, row: str) -> list[str]:
    """The cells of the first row of that name."""
    found = re.search(rf'<th scope="row">{row}</th>(.*?)</tr>', html)
    return re.findall(r"<td[^>]*>(.*?)</td>", found[1])


@pytest.fixture
def line(tmp_path: Path) -> Line:
    return Line(tmp_path)


def broken(line: Line, **measured: float) -> None:
    """Measure something else of the first face, and doubt it for that."""
    line.measures.loc[0, list(measured)] = list(measured.values())
    line.doubted = doubts(line.measures, SETTINGS.clean.rules.model_dump())


@pytest.mark.slow
def test_data_in_which_nothing_is_wrong(line):
    line.measures = line.measures.assign(**MEASURES)
    html = line.page()
    assert "<strong>7</strong> <span>clean faces of 7 pictures, 100.0 %" in html
    assert "the most frequent 1.0 times as often as the rarest" in html
    for said in (
        "Nothing was rejected",
        "No face is doubted",
        "No face appears twice",
        "No label is doubted",
    ):
        assert said in html
    assert "Nobody has judged a face yet" in html and 'href="index.html"' in html


def test_every_reason_is_shown_with_what_was_measured_and_what_has_no_picture_is_told(line):
    broken(line, yaw=1.2)
    line.dropped = line.doubted[["image_id", "rule", "detail"]].set_axis(REJECTED_COLUMNS, axis=1)
    line.faceless.loc[0] = [photo_id(99), "no_face", "MTCNN found none"]
    line.undecoded.loc[0] = ["", "broken_picture", "half of it", "sad/a.jpg"]
    html = line.page()
    assert "<li>sad/a.jpg: half of it</li>" in html
    assert 'alt="no_face, sad: MTCNN found none"' in html
    assert 'alt="profile, angry: yaw 1.2 &gt; 0.9"' in html
    assert "Seen from the side" in html and "none of angry" in html
    assert "Angry lost the largest share" in html and cells(html, "lost")[0] == "<b>100.0 %</b>"
    assert cells(html, "profile") == ["yaw &gt; 0.9", "rejects", "1", "1", "–", "–"]


def test_doubts_that_only_ask_are_shown_too(line):
    broken(line, covered=0.8, label_doubt=0.97)
    html = line.page()
    limit = SETTINGS.clean.rules.max_covered
    assert f'alt="covered, angry: covered 0.8 &gt; {limit}"' in html
    assert "angry, or happy: label_doubt 0.97 &gt; 0.95" in html
    assert "1 labels are doubted" in html and "angry, or happy? <span" in html


def test_copies_lie_beside_each_other_and_leaks_and_labels_in_dispute_are_marked(line):
    line.measures.loc[1, "group_id"] = line.measures.loc[0, "group_id"]
    leak = dict.fromkeys(DOUBTS, "") | {"image_id": line.measures.loc[1, "image_id"], "rule": "leak"}
    line.doubted = pd.DataFrame([{**leak, "score": 1.0, "detail": "near-copy of …"}])
    html = line.page()
    assert '2 copies <span class="mark">· leak, several labels</span>' in html
    assert "train, angry: angry" in html and "train, disgust: disgust" in html


@pytest.mark.slow
def test_what_was_not_measured_is_said_and_not_drawn(line):
    unmeasured = dict.fromkeys(("yaw", "roll", "score", "covered", "label_doubt"), np.nan)
    line.measures = line.measures.assign(**{**MEASURES, **unmeasured}, suggestion="")
    html = line.page()
    assert "Not measured in any face: yaw, 0 is frontal; roll, degrees; covered, 0 to 1; label doubt" in html
    assert "roll, degrees: median" not in html and ">nan<" not in html
    assert cells(html, "train")[3:] == ["–", "20", "–"]


def test_an_expression_that_nobody_shows(line):
    line.faces = line.faces[line.faces["label"] != "fear"].reset_index(drop=True)
    line.measures = line.measures[line.measures["label"] != "fear"].reset_index(drop=True)
    html = line.page()
    assert "none of fear" in html
    assert cells(html, "fear")[:5] == ["0", "0", "0", "0", "0.0 %"]


def decided(face: str, verdict: str, label: str = "", reviewer: str = "kim", pixels: str = "") -> dict:
    row = {"image_id": face, "pixels": pixels or face, "verdict": verdict, "label": label}
    return {**row, "reviewer": reviewer, "time": f"{face}{verdict}", "note": ""}


def test_how_often_people_found_a_rule_right(line):
    line.measures["label_doubt"] = 0.97
    broken(line, yaw=1.2)
    one, two, three, four, *_ = line.measures["image_id"]
    said = [decided(one, "reject"), decided(two, "relabel", "happy"), decided(three, "relabel", "sad", "lee")]
    said += [decided(four, "keep"), decided(one, "reject", pixels="other")]
    line.decisions = pd.DataFrame(said)
    html = line.page()
    assert cells(html, "profile")[-2:] == ["1 of 1", "20.7 % – 100.0 %"]
    assert cells(html, "label_doubt")[-2:] == ["3 of 4", "30.1 % – 95.4 %"]
    assert "1 not applied: stale." in html
    assert "Of 2 faces that they relabelled, 1 now have the label" in html
    assert cells(html, "kim") == ["1", "2", "1", "0"]


def test_every_rule_and_reason_is_explained():
    assert set(RULE_NAMES) <= set(tables.ABOUT)
    code = "".join(
        path.read_text() for part in ("flows", "fer_tasks") for path in (ROOT / part).rglob("*.py")
    )
    reasons = re.findall(r'(?:set_aside|BadImage)\("(\w+)"|"reason": "(\w+)"', code)
    assert {one or other for one, other in reasons} <= set(tables.ABOUT)


LABELS = st.lists(st.sampled_from(EXPRESSIONS), max_size=30)
REASONS = st.lists(
    st.tuples(st.sampled_from(["", *EXPRESSIONS]), st.sampled_from(["dark", "no_face"])), max_size=30
)


@given(LABELS, REASONS)
@search(deadline=None)
def test_nothing_vanishes_in_the_table_of_losses(kept, rejected):
    rows = pd.DataFrame(rejected, columns=["label", "reason"], dtype=object).assign(stage="clean")
    table = tables.losses(rows, pd.Series(kept, dtype=object))
    reasons = table.drop(["came in", "kept", "lost"])
    assert table.loc["came in"].sum() == len(kept) + len(rejected)
    assert (table.loc["came in"] == reasons.sum() + table.loc["kept"]).all()
    assert table.loc["lost"].dropna().between(0, 1).all()


@given(st.lists(st.floats(0, 1) | st.just(math.nan), max_size=30), st.integers(1, 12))
def test_examples_reach_from_the_worst_to_the_least(scores, n):
    some = tables.examples(pd.DataFrame({"score": scores}), n)["score"].dropna().tolist()
    assert len(some) <= n and some == sorted(some, reverse=True)
    if n > 1 and len(scores) > 1 and not np.isnan(scores).any():
        assert some[0] == max(scores) and some[-1] == min(scores)


def test_the_imbalance_of_a_missing_class_is_infinite():
    assert tables.imbalance(pd.Series([6, 2, 3])) == 3
    assert tables.imbalance(pd.Series([6, 0])) == math.inf
