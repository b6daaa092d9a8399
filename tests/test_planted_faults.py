"""The faults that benchmarks plant are there, where and as they are said to be."""

import numpy as np
import pytest
from skimage import data

from benchmarks.lib import planted_faults
from benchmarks.lib.rule_scores import Judge, our, score
from fer_tasks.faces.signals import light_signals

FACE = np.ascontiguousarray(data.astronaut()[45:195, 150:300])
LANDMARKS = np.array([[61.0, 68], [96, 67], [81, 91], [64, 103], [94, 102]])
OTHER = np.ascontiguousarray(data.chelsea()[:150, 150:300])


def planted_on(cover: str, seed: int) -> np.ndarray:
    return planted_faults.COVERS[cover](FACE, LANDMARKS, OTHER, np.random.default_rng(seed))


@pytest.mark.parametrize("fault", planted_faults.LIGHT | planted_faults.DRAWINGS)
def test_a_fault_makes_another_face_of_the_same_kind(fault):
    made = (planted_faults.LIGHT | planted_faults.DRAWINGS)[fault](FACE, np.random.default_rng(0))
    assert made.shape == FACE.shape and made.dtype == np.uint8 and (made != FACE).any()


@pytest.mark.parametrize(
    ("fault", "signal", "less"),
    [
        ("blurred", "sharpness", True),
        ("shaken", "sharpness", True),
        ("dark", "brightness", True),
        ("bright", "brightness", False),
        ("low contrast", "contrast", True),
    ],
)
def test_bad_light_and_blur_move_the_signal_that_should_tell(fault, signal, less):
    made = planted_faults.LIGHT[fault](FACE, np.random.default_rng(0))
    assert (light_signals(made)[signal] < light_signals(FACE)[signal]) == less


@pytest.mark.parametrize("cover", planted_faults.COVERS)
@pytest.mark.parametrize("seed", range(4))
def test_a_cover_lies_on_the_eyes_or_on_the_mouth_and_not_on_the_other(cover, seed):
    changed = (planted_on(cover, seed) != FACE).any(axis=2)
    eyes, mouth = changed[60:76, 50:107].mean(), changed[96:109, 62:96].mean()
    on, off = (mouth, eyes) if cover == "mask" or "mouth" in cover else (eyes, mouth)
    assert on > 0.3 and off < 0.35 and on > off + 0.3
    assert (planted_on(cover, seed) == planted_on(cover, seed)).all()


def test_scores_are_of_the_half_that_no_threshold_was_chosen_on():
    sound, first = np.array([*range(1, 101), 50, 60, 70, 80], float), np.arange(104) < 100
    faulty = np.array([1.5, 5.0, 55.0, np.nan])
    low = score(Judge("low", 10, False, 0.05), sound, first, faulty)
    assert (low["threshold"], low["recall"], low["false"], low["precision"]) == (10, 0.5, 0, 1)
    assert (low["chosen_threshold"], low["chosen_recall"], low["chosen_false"]) == (5, 0.25, 0)
    high = score(Judge("high", 65, True, 0.5), sound, first, faulty)
    assert (high["recall"], high["false"]) == (0, 0.5)
    assert (high["chosen_threshold"], high["chosen_recall"], high["chosen_false"]) == (51, 0.25, 0.75)


def test_a_number_that_few_faces_have_chooses_no_threshold():
    sound, first = np.array([0.9, *[np.nan] * 99, np.nan]), np.arange(101) < 100
    found = score(Judge("copy", 0.95, True, 0.05), sound, first, np.array([0.99, 0.9]))
    assert (found["recall"], found["false"]) == (0.5, 0) and "chosen_threshold" not in found


def test_our_judges_are_the_rules_with_the_thresholds_of_params_yaml():
    judge, measure = our("near_copy", "copy_correlation")
    assert measure == "copy_correlation" and judge.high and judge.given <= 1
    assert our("blurred")[1] == "sharpness" and not our("blurred")[0].high


def test_every_fault_of_light_has_a_rule_that_looks_at_light():
    assert {*planted_faults.RULE_OF} == {*planted_faults.LIGHT, *planted_faults.DRAWINGS}
    assert {our(rule)[1] for rule in planted_faults.RULE_OF.values()} <= set(light_signals(FACE))
