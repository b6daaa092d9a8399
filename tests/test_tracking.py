"""Which face of a frame is which of the frame before."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_tasks.video.tracking import LIFE, Tracker, overlaps

side = st.floats(1, 60)
boxes = st.lists(st.tuples(st.floats(0, 400), st.floats(0, 400), side, side), max_size=6)


def as_boxes(*rows):
    return np.array(rows, float).reshape(-1, 4)


@given(st.lists(st.tuples(boxes, st.floats(0, 2)), max_size=8))
@settings(deadline=None)
def test_no_id_stands_twice_in_a_frame_and_none_is_left_out(frames):
    tracker, time, seen = Tracker(), 0.0, set()
    for frame, pause in frames:
        time += pause
        ids = tracker.update(as_boxes(*frame), time)
        assert len(ids) == len(set(ids)) == len(frame)
        assert set(ids) - seen == set(range(len(seen), len(seen | set(ids)))), (
            "new ids count on from the last"
        )
        seen |= set(ids)


def test_a_face_that_moves_keeps_its_id_and_another_gets_a_new_one():
    tracker = Tracker()
    for step in range(20):
        assert tracker.update(as_boxes((10, 5 * step, 50, 40)), step / 25) == [0]
    assert tracker.update(as_boxes((200, 300, 50, 40), (10, 100, 50, 40)), 0.84) == [1, 0]


def test_faces_that_pass_each_other_keep_their_ids_whatever_their_order():
    tracker = Tracker()
    assert tracker.update(as_boxes((10, 0, 50, 50), (40, 100, 60, 60)), 0) == [0, 1]
    for step in range(1, 26):
        left, right = (10, 4 * step, 50, 50), (40, 100 - 4 * step, 60, 60)
        assert tracker.update(as_boxes(right, left), step / 25) == [1, 0]


def test_a_face_may_be_away_for_a_second():
    tracker, face = Tracker(), as_boxes((10, 10, 50, 50))
    assert tracker.update(face, 0) == [0]
    assert tracker.update(as_boxes(), 0.5) == []
    assert tracker.update(face, LIFE) == [0]
    assert tracker.update(face, 2 * LIFE + 0.01) == [1]


def test_after_a_cut_all_faces_are_new():
    tracker, face = Tracker(), as_boxes((10, 10, 50, 50))
    tracker.update(face, 0)
    tracker.end_all()
    assert tracker.update(face, 0.04) == [1]


def test_faces_of_an_earlier_run_go_on():
    tracker, face = Tracker(), as_boxes((10, 10, 50, 50))
    tracker.keep(7, face[0], 0)
    assert tracker.update(np.concatenate([face, face + 100]), 0.04) == [7, 8]


def test_overlap_is_intersection_over_union():
    some = as_boxes((0, 0, 10, 10), (0, 0, 0, 0))
    others = as_boxes((0, 0, 10, 10), (0, 5, 10, 10), (50, 50, 10, 10))
    assert overlaps(some, others).round(4).tolist() == [[1, 0.3333, 0], [0, 0, 0]]
