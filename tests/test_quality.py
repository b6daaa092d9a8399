"""Rules of quality: the first one broken is the reason, with its figure."""

import pandas as pd
import pytest

from fer_tasks.cleaning.quality import RULES, judge

THRESHOLDS = {"max_yaw": 0.6, "max_roll": 35, "max_second_face": 0.6, "min_eye_distance": 14}
THRESHOLDS |= {"min_brightness": 35, "max_brightness": 225, "min_sharpness": 20, "min_contrast": 15}
THRESHOLDS |= {"max_flatness": 0.3}
GOOD = {
    "yaw": 0.1,
    "roll": -5.0,
    "second_face": 0.0,
    "eye_distance": 40.0,
    "brightness": 120.0,
    "sharpness": 99.0,
    "contrast": 50.0,
    "flatness": 0.1,
}


def judged(**changes: float) -> list[tuple[str, str]]:
    table = judge(pd.DataFrame([{"image_id": "a", **GOOD, **changes}]), THRESHOLDS)
    return list(table[["reason", "detail"]].itertuples(index=False, name=None))


def test_a_good_face_breaks_no_rule():
    assert judged() == []


@pytest.mark.parametrize(
    ("column", "value", "reason", "detail"),
    [
        ("yaw", -0.81, "profile", "yaw 0.81 > 0.6"),
        ("roll", 50.5, "rolled", "roll 50.5 > 35"),
        ("second_face", 0.9, "several_faces", "second_face 0.9 > 0.6"),
        ("eye_distance", 9, "small", "eye_distance 9 < 14"),
        ("brightness", 20, "dark", "brightness 20 < 35"),
        ("brightness", 240, "bright", "brightness 240 > 225"),
        ("contrast", 9, "low_contrast", "contrast 9 < 15"),
        ("flatness", 0.5, "drawing", "flatness 0.5 > 0.3"),
        ("sharpness", 3.25, "blurred", "sharpness 3.25 < 20"),
    ],
)
def test_each_rule_names_its_figure_and_threshold(column, value, reason, detail):
    assert judged(**{column: value}) == [(reason, detail)]


def test_the_threshold_itself_is_no_fault():
    values = {
        "yaw": 0.6,
        "roll": 35,
        "second_face": 0.6,
        "eye_distance": 14,
        "sharpness": 20,
        "brightness": 35,
    }
    assert judged(**values) == []


def test_several_faults_give_one_row_and_the_first_reason():
    assert judged(sharpness=1, yaw=0.9, brightness=1) == [("profile", "yaw 0.9 > 0.6")]


def test_every_rule_has_a_threshold_and_a_reason_of_its_own():
    assert {rule.threshold for rule in RULES} == set(THRESHOLDS)
    assert len({rule.reason for rule in RULES}) == len(RULES)
