"""The answers about one face, smoothed over time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_tasks.video.smoothing import Smoother

SURE = np.array([[0.94, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01]])
OTHER = SURE[:, ::-1]


def test_the_first_answer_stays_as_it_is_and_a_constant_one_too():
    smoother = Smoother(0.5)
    for step in range(4):
        assert smoother.update([3], SURE, step / 10) == pytest.approx(SURE)


def test_what_lies_the_given_time_back_weighs_one_in_e():
    smoother = Smoother(0.5)
    smoother.update([0], SURE, 0)
    smooth = smoother.update([0], OTHER, 0.5)
    logs = np.log(SURE) / np.e + np.log(OTHER) * (1 - 1 / np.e)
    assert smooth == pytest.approx(np.exp(logs) / np.exp(logs).sum())


def test_the_number_of_frames_in_between_does_not_matter():
    few, many = Smoother(0.3), Smoother(0.3)
    few.update([0], SURE, 0)
    many.update([0], SURE, 0)
    for time in (0.1, 0.15, 0.2):
        last = many.update([0], OTHER, time)
    assert few.update([0], OTHER, 0.2) == pytest.approx(last)


def test_a_single_frame_does_not_turn_the_answer_but_a_lasting_change_does():
    smoother = Smoother(0.5)
    guesses = [
        smoother.update([0], OTHER if step == 5 or step > 20 else SURE, step / 25)[0].argmax()
        for step in range(60)
    ]
    assert set(guesses[:20]) == {0} and guesses[-1] == 6


def test_tracks_do_not_touch_each_other_and_one_that_was_away_begins_anew():
    smoother = Smoother(0.5)
    smoother.update([0, 1], np.concatenate([SURE, OTHER]), 0)
    both = smoother.update([1, 0], np.concatenate([OTHER, SURE]), 0.04)
    assert both == pytest.approx(np.concatenate([OTHER, SURE]))
    assert smoother.update([1], SURE, 2) == pytest.approx(SURE)


@given(st.lists(st.tuples(st.lists(st.floats(0, 1), min_size=7, max_size=7), st.floats(0, 1)), max_size=9))
@settings(deadline=None)
def test_smoothed_answers_are_probabilities(frames):
    smoother, time = Smoother(0.5), 0.0
    for weights, pause in frames:
        time += pause
        shares = np.array([weights]) + 1e-9
        smooth = smoother.update([0], shares / shares.sum(), time)
        assert smooth.sum() == pytest.approx(1) and (smooth > 0).all()
    assert smoother.update([], np.empty((0, 7)), time).shape == (0, 7)
