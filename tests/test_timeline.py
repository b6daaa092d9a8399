"""The picture of the expressions over time."""

import io
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from apps.predict.annotate import COLOURS
from fer_tasks.labels import EXPRESSIONS
from fer_tasks.video.timeline import STEPS, Timeline, clock

SURE = np.eye(7)


def picture(timeline):
    return np.asarray(Image.open(io.BytesIO(timeline.png("a.mp4", COLOURS))).convert("RGB"))


def share(image, expression, columns=slice(None)):
    colour = np.array([int(COLOURS[expression][i : i + 2], 16) for i in (1, 3, 5)])
    return (np.abs(image[:, columns].astype(int) - colour).max(axis=2) < 3).mean()


def test_each_expression_is_seen_in_its_colour_as_long_as_it_lasts():
    timeline = Timeline()
    for step in range(100):
        timeline.add(step / 25, [0], SURE[[EXPRESSIONS.index("happy" if step < 75 else "sad")]])
    image = picture(timeline)
    assert share(image, "happy") == pytest.approx(3 * share(image, "sad"), rel=0.15)
    assert share(image, "happy") > 0.2


def test_where_the_face_is_away_nothing_is_drawn():
    timeline = Timeline()
    for step in range(100):
        present = not 25 <= step < 75
        timeline.add(step / 25, [4] * present, SURE[[3] * present])
    image = picture(timeline)
    middle = image.shape[1] // 2
    assert share(image, "happy", slice(middle - 100, middle + 100)) < 0.02 < share(image, "happy")


def test_a_long_video_takes_no_more_memory():
    timeline, sizes = Timeline(), []
    for step in range(40_000):
        timeline.add(step * 0.2, [0, 1], SURE[[0, 1]])
        sizes.append(sum(map(len, timeline._sums.values())))
    assert max(sizes) <= 2 * STEPS + 2
    assert share(picture(timeline), "angry") > 0.1


def test_the_faces_that_are_seen_longest_are_drawn():
    timeline = Timeline()
    for track in range(20):
        for step in range(track + 1):
            timeline.add(track + step / 25, [track], SURE[[track % 7]])
    heights = [len(picture(one)) for one in (Timeline(), timeline)]
    assert heights[1] < 9 * heights[0]


def test_a_video_without_a_face_has_a_picture_too():
    assert picture(Timeline()).shape[1] > 900


def test_times():
    assert [clock(seconds, 50) for seconds in (0, 7.46)] == ["0.0 s", "7.5 s"]
    assert [clock(seconds, 9000) for seconds in (0, 75, 3675)] == ["0:00", "1:15", "1:01:15"]
    assert all(one < other for one, other in pairwise(clock(60 * i, 3000) for i in range(10, 20)))
