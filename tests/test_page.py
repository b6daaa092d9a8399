"""The report: one page, without a server, whatever its figures."""

import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from fer_tasks.evaluation.bootstrap import compare
from fer_tasks.labels import EXPRESSIONS
from fer_tasks.reports.ablation_page import AblationPage, render_ablation
from fer_tasks.reports.render import Picture
from fer_tasks.reports.report_page import (
    BestCell,
    CalibratedModel,
    FaceExample,
    ReportPage,
    render_report,
)

PICTURE = Picture(b"png", "what it shows")
RIGHT, WRONG = FaceExample(PICTURE, "sad", "sad", 0.9), FaceExample(PICTURE, "sad", "fear", 0.87)
TRAINED = {"model": "m", "recipe": "r", "status": "trained", "reason": "", "epochs": 3, "best_epoch": 2}
TRAINED |= {"parameters": 1234567, "train_seconds": 61.2, "val_accuracy": 0.5, "val_loss": 1.0, "note": ""}
TRAINED |= {"test_accuracy": 0.4567, "test_low": 0.4, "test_high": 0.5, "test_loss": 1.2}
TRAINED |= {"test_macro_f1": 0.4, "test_ece": 0.123, "bytes": 2.3e6, "ms_a_face": 1.25}
GAIN = {"gain": -0.031, "gain_low": -0.05, "gain_high": -0.01, "p": 0.01, "differs": True}
PUBLISHED = {"published_accuracy": 0.4123, "published_loss": 1.5}
PUBLISHED |= {"difference": 0.0444, "difference_low": -0.0123, "difference_high": 0.0877}
FIGURES = ("accuracies", "confusion", "reliability", "answered", "curves")
CONFIDENCE = {"ece_before": 0.123, "ece_after": 0.031, "answered": 0.8, "answered_accuracy": 0.55}
CONFIDENCE |= {"accuracy_by_share": {"1": 0.4567, "0.9": 0.481}}
# What an ensemble lacks: it is no model of its own.
ENSEMBLE = dict.fromkeys(("best_epoch", "parameters", "train_seconds", "bytes", "ms_a_face"), np.nan)


def report(cells: int = 2, failed: str = "", columns: dict | None = None, **changes: object) -> ReportPage:
    board = [{"cell": f"cell-{i}", **TRAINED, **(GAIN if i else {}), **(columns or {})} for i in range(cells)]
    if failed:
        board.append({"cell": "lost", "model": "m", "recipe": "r", "status": "failed", "reason": failed})
    classes = pd.DataFrame({"expression": EXPRESSIONS, "n": 1, "precision": np.nan, "recall": 1.0, "f1": 0.5})
    recalls = [
        {"cell": row["cell"], **dict.fromkeys(EXPRESSIONS, 0.5), "fear": np.nan} for row in board[:cells]
    ]
    parts = {
        "source": "photos",
        "generated": False,
        "reduced": "",
        "best": BestCell("cell-0", 0.4567, 0.4, 0.5, 0.4, 0.123, 1234, 0.15),
        "calibrated": CalibratedModel(1.6, 0.4, CONFIDENCE, [(0.9, 0.912, 3.4)]),
        "candidates": cells,
        "unlearnt": [],
        "leaderboard": pd.DataFrame(board),
        "published": "",
        "distillation_gain": pd.DataFrame(),
        "per_class": classes,
        "recalls": pd.DataFrame(recalls),
        "figures": dict.fromkeys(FIGURES, PICTURE),
        "curves": min(cells, 12),
        "wrong": 670,
        "mistakes": [WRONG],
        "at_random": [RIGHT, WRONG],
        "grad_cam_faces": [RIGHT],
        "stages": pd.DataFrame({"stage": ["download"], "came_in": [3], "kept": [2], "rejected": [1]}),
        "made": {"packages": "keras 3"},
    }
    return ReportPage(**{**parts, **changes})


def told(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", page))


class Outline(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.tags, self.sources = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.sources += [value for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def outline(html: str) -> Outline:
    parser = Outline()
    parser.feed(html)
    assert parser.open == []
    return parser


@pytest.mark.parametrize("cells", [1, 53])
def test_a_page_of_any_size_is_whole_and_needs_nothing_but_the_cards_beside_it(cells):
    page = outline(render_report(report(cells=cells)))
    elsewhere = [s for s in page.sources if not s.startswith(("data:image/png;base64,", "#"))]
    assert elsewhere == ["model.html", "data.html", "data.html"]
    assert page.tags.count("img") == len(FIGURES) + 4 and page.tags.count("script") == 1


def test_the_headline_names_its_data_its_interval_and_what_guessing_gives():
    text = told(render_report(report()))
    assert "45.7 % of 1,234 test pictures named right by cell-0" in text
    assert "95 % interval 40.0 % to 50.0 %" in text and "most frequent expression: 15.0 %" in text
    assert "Data: photos" in text and "–" in text and "no train picture" not in text
    text = told(render_report(report(unlearnt=["disgust", "fear", "sad"])))
    assert "There is no train picture of disgust, fear, sad : models/best answers over the other 4" in text


def test_what_the_confidence_is_worth():
    text = told(render_report(report()))
    assert "a temperature of 1.60" in text and "from 12.3 % to 3.1 %" in text
    assert "below a confidence of 40.0 %" in text and "80.0 % are not marked, and 55.0 % of these" in text
    assert "named right 45.7 % 48.1 %" in text
    assert "90.0 % 91.2 % 3.4" in text
    none = {**CONFIDENCE, "answered": 0.0, "answered_accuracy": None}
    assert "0.0 % are not marked, and – of these" in told(
        render_report(report(calibrated=CalibratedModel(1.6, 1.0, none, [])))
    )


def test_only_a_generated_sample_carries_the_warning():
    warning = "Its figures say nothing about photos of real people"
    assert warning in " ".join(render_report(report(generated=True)).split())
    assert warning not in " ".join(render_report(report()).split())


def test_a_reduced_run_says_that_it_compares_with_nothing():
    reduced = told(render_report(report(reduced="at most 4,000 train pictures and 5 epochs")))
    assert "reduced run : each cell had at most 4,000 train pictures" in reduced
    assert "reduced" not in told(render_report(report()))


def test_a_failed_cell_is_a_row_with_its_reason():
    html = render_report(report(failed="out of memory"))
    assert "failed: out of memory" in html and "among 2 by" in told(html)
    assert "nan" not in told(html), "what a failed cell lacks is not told"


def test_a_leaderboard_of_one_cell_says_all_that_is_known_of_it():
    text = told(render_report(report(cells=1)))
    for figure in ("45.7 40.0 to 50.0", "12.3", "epoch 2/3", "1,234,567", "2.3 MB", "61 s", "1.2"):
        assert figure in text
    assert "published" not in text.lower() and "differs" not in text.split("Test : the share")[0]


def test_a_cell_that_differs_from_the_best_is_told_from_one_that_may_not():
    text = told(render_report(report()))
    assert "differs −3.1 −5.0 to −1.0" in text
    chance = told(render_report(report(columns={"differs": False})))
    assert "−3.1 −5.0 to −1.0" in chance and "differs −3.1" not in chance


def test_published_figures_stand_beside_ours_with_the_interval_and_a_warning():
    whose = "As somebody published them."
    text = told(render_report(report(columns=PUBLISHED, published=whose)))
    assert "41.2 +4.4 −1.2 to +8.8" in text and f"Published : {whose}" in text
    assert "it does not measure the models alone" in text
    gap = dict.fromkeys(PUBLISHED, np.nan)
    assert "– to –" not in told(render_report(report(columns=gap, published=whose)))


def test_whether_a_teacher_helped_is_told_where_there_is_one():
    assert "teacher" not in told(render_report(report()))
    lesson = {"cell": "cell-0", "baseline": "cell-1", "teacher": "all <three>", "p": 0.01}
    lesson |= {"test_accuracy": 0.606, "test_loss": 1.048, "test_ece": 0.021}
    lesson |= {"baseline_test_accuracy": 0.593, "baseline_test_loss": 1.0469, "baseline_test_ece": 0.05}
    lesson |= {"gain": 0.013, "gain_low": 0.001, "gain_high": 0.025, "differs": True}
    text = told(render_report(report(distillation_gain=pd.DataFrame([lesson]))))
    assert "baseline: cell-1 all &lt;three&gt; 59.3 → 60.6 differs +1.3 +0.1 to +2.5" in text
    assert "1.047 → 1.048 5.0 → 2.1" in text


def test_a_row_that_is_no_model_of_its_own_is_a_row_like_any_other():
    text = told(render_report(report(columns=ENSEMBLE, grad_cam_faces=[])))
    assert (
        "cell-1" in text
        and "nan" not in text
        and "epoch –" not in text
        and "cell-0 has no feature maps" in text
    )


def test_a_model_without_mistakes_is_told_so():
    assert "names every test picture right" in told(render_report(report(mistakes=[], wrong=0)))


def test_a_face_says_what_it_is_and_what_it_was_named():
    text = told(render_report(report()))
    assert "✓ SAD: sad 90 %" in text and "✗ SAD: fear 87 %" in text
    assert "names 670 of 1,234 test pictures wrong" in text


def test_curves_of_many_cells_are_those_of_the_best():
    assert "The best 12 of 53 cells" in told(render_report(report(cells=53)))
    assert "The best" not in told(render_report(report(cells=12)))


def test_texts_are_escaped():
    nasty = "<script>alert('x')</script> & co"
    html = render_report(report(failed=nasty, source=nasty, made={nasty: nasty}))
    assert html.count("<script>") == 1 and html.count("&lt;script&gt;") == 4
    outline(html)


def ablated(lost: str = "", right: int = 50, **changes: object) -> AblationPage:
    steps = ["raw faces", "profile", "dark", "clean"]
    table = pd.DataFrame({"step": steps, "train": 900, "val": 90, "added": 0, "relabelled": 0, "rejects": ""})
    y_true = np.arange(100) % 7
    better = np.where(np.arange(100) < right, y_true, 0)
    said = {"raw faces": np.zeros((3, 100), int), "clean": np.stack([better] * 3)}
    table = table.assign(removed=[0, 3, 4, 5], reason=["", lost, lost, ""])
    table = table.merge(compare(y_true, said, 200, 0), on="step", how="left")
    parts = {"source": "photos", "generated": False, "table": table, "figure": PICTURE, "tested": 100}
    parts |= {"judged": 100, "doubted": 9, "min_judged": 50, "seeds": 3, "made": {"again": "make ablation"}}
    return AblationPage(**{**parts, **changes})


def test_the_ablation_says_first_what_all_of_cleaning_earned():
    html = render_ablation(ablated("out of memory"))
    text = told(html)
    assert "+42.0 points of accuracy" in text and "100 test faces, 3 seeds" in text
    assert text.count("not trained: out of memory") == 2 and "nan" not in text
    page = outline(html)
    assert "script" not in page.tags and page.tags.count("img") == page.tags.count("table") == 1


def test_steps_that_name_the_same_faces_right_have_no_interval_and_not_one_of_width_zero():
    text = told(render_ablation(ablated(right=0)))
    assert "+0.0 points of accuracy" in text and "95 % interval: no interval" in text and "nan" not in text


def test_a_test_set_that_people_have_not_judged_is_told_loudly():
    assert "Not judged by people" not in render_ablation(ablated())
    html = re.sub(r"\s+", " ", render_ablation(ablated(judged=7)))
    assert "<b>Not judged by people: 93 of the 100 test faces.</b>" in html


def test_the_ablation_escapes_what_it_shows():
    nasty = "<script>alert('x')</script>"
    assert "<script>" not in render_ablation(ablated(nasty, source=nasty, made={nasty: nasty}))
