"""Doubts: each rule names its figure, its threshold and the worst of its faces; some reject, others ask."""

import pandas as pd
import pytest

from fer_tasks.cleaning.rules import (
    COLUMNS,
    LEAK,
    RULE_NAMES,
    RULES,
    UnknownRule,
    check_rules,
    doubts,
    rejected_by_rules,
)
from fer_tasks.settings import Rules, load_settings

THRESHOLDS = {"max_yaw": 0.6, "max_roll": 35, "max_second_face": 0.6, "min_eye_distance": 14}
THRESHOLDS |= {"min_brightness": 35, "max_brightness": 225, "min_sharpness": 20, "min_contrast": 15}
THRESHOLDS |= {"max_flatness": 0.3, "min_score": 0.98, "max_covered": 0.5, "max_label_doubt": 0.75}
THRESHOLDS |= {"min_copy_bits": 25, "max_copy_correlation": 0.97}
NAN = float("nan")
GOOD = {
    "yaw": 0.1,
    "roll": -5.0,
    "second_face": 0.0,
    "eye_distance": 40.0,
    "brightness": 120.0,
    "sharpness": 99.0,
    "contrast": 50.0,
    "flatness": 0.1,
    "score": 0.999,
    "covered": 0.2,
    "label_doubt": 0.5,
    "copy_bits": NAN,
    "copy_correlation": NAN,
    "copy_of": "b",
    "suggestion": "sad",
}


def doubted(*faces: dict) -> pd.DataFrame:
    return doubts(
        pd.DataFrame([{"image_id": "ab"[k], **GOOD, **face} for k, face in enumerate(faces)]), THRESHOLDS
    )


def test_a_good_face_is_not_doubted():
    assert doubted({}).empty and list(doubted({}).columns) == COLUMNS


@pytest.mark.parametrize(
    ("column", "value", "rule", "detail"),
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
        ("score", 0.91, "low_score", "score 0.91 < 0.98"),
        ("covered", 0.8, "covered", "covered 0.8 > 0.5"),
        ("copy_bits", 6, "near_copy", "copy_bits 6 < 25"),
        ("copy_correlation", 0.99, "near_copy", "copy_correlation 0.99 > 0.97"),
        ("label_doubt", 0.8, "label_doubt", "label_doubt 0.8 > 0.75"),
    ],
)
def test_each_rule_names_its_figure_and_threshold(column, value, rule, detail):
    assert doubted({column: value})[["rule", "detail"]].to_numpy().tolist() == [[rule, detail]]


def test_a_doubt_names_the_other_face_or_the_suggested_label_where_there_is_one():
    table = doubted({"copy_bits": 6, "label_doubt": 0.8, "yaw": 1.0}).set_index("rule")
    assert table["other"].to_dict() == {"near_copy": "b", "label_doubt": "", "profile": ""}
    assert table["suggestion"].to_dict() == {"near_copy": "", "label_doubt": "sad", "profile": ""}


def test_the_worst_face_of_a_rule_has_the_highest_score():
    assert doubted({"sharpness": 3}, {"sharpness": 9})["score"].tolist() == [1.0, 0.5]
    assert doubted({"yaw": 0.8}, {"yaw": -2.0})["score"].tolist() == [0.5, 1.0]


def test_a_copy_found_in_two_ways_is_one_doubt():
    assert len(doubted({"copy_bits": 6, "copy_correlation": 0.99})) == 1


def test_the_threshold_itself_is_no_fault_and_neither_is_what_is_not_known():
    assert doubted(THRESHOLDS_MET := {rule.measure: THRESHOLDS[rule.threshold] for rule in RULES}).empty
    assert doubted(dict.fromkeys(THRESHOLDS_MET, NAN)).empty


def test_the_first_rejecting_doubt_gives_the_reason_and_the_others_only_ask():
    table = doubted({"sharpness": 1, "yaw": 0.9, "brightness": 1}, {"covered": 0.9})
    assert rejected_by_rules(table, ["blurred", "profile"])["reason"].tolist() == ["profile"]
    assert rejected_by_rules(table, ["covered", "dark"])["reason"].tolist() == ["dark", "covered"]
    assert rejected_by_rules(table, []).empty


def test_a_leak_rejects_whatever_the_settings_say():
    leak = doubted({"covered": 0.9}).assign(rule=LEAK)
    assert rejected_by_rules(leak, [])["reason"].tolist() == [LEAK]


def test_every_threshold_of_the_settings_is_a_rule_and_the_settings_name_only_rules():
    assert {rule.threshold for rule in RULES} == set(Rules.model_fields) == set(THRESHOLDS)
    assert len(set(RULE_NAMES)) == len(RULE_NAMES)
    check_rules(load_settings().clean.reject)


def test_an_unknown_rule_is_refused_with_those_there_are():
    with pytest.raises(UnknownRule, match="clean.reject: no rule 'blury'; choose from profile, "):
        check_rules(["profile", "blury"])
