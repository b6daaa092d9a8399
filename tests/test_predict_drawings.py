"""Annotated pictures and the gallery: labels that can be read, in the picture, and none over another."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from apps.predict import annotate
from apps.predict.annotate import COLOURS, LARGEST, READABLE, annotated, title
from apps.predict.gallery import MOST, SIDE, Gallery, face_of
from apps.predict.pictures import Picture, of_array
from apps.predict.tables import COLUMNS, Row
from fer_tasks.labels import EXPRESSIONS

NOTHING = Row(**dict.fromkeys(COLUMNS))
FACE = NOTHING._replace(status="ok", expression="happy", confidence=0.974, file="a.jpg")


def face(x: float, y: float, width: float, height: float, **changes: object) -> Row:
    return FACE._replace(x=x, y=y, width=width, height=height, **changes)


def of_colour(image: Image.Image, expression: str) -> np.ndarray:
    """Where a picture has the colour of an expression: (M, N) bool."""
    colour = [int(COLOURS[expression][i : i + 2], 16) for i in (1, 3, 5)]
    return (np.asarray(image) == colour).all(axis=2)


@pytest.mark.parametrize("shape", [(48, 48), (480, 640), (3000, 4000), (200, 30_000), (1, 1)])
def test_a_label_is_readable_at_any_size(shape):
    height, width = shape
    image = np.zeros((min(height, 400), min(width, 3000), 3), np.uint8)  # a smaller copy will do
    picture = Picture("", shape, lambda enough: image)
    drawn = annotated(picture, [face(width * 0.3, height * 0.3, width * 0.4, height * 0.4)])
    assert READABLE <= max(drawn.size) <= LARGEST or min(drawn.size) == 200
    rows, columns = np.nonzero(of_colour(drawn, "happy"))
    assert len(rows) and (min(shape) < 100 or np.ptp(rows) >= 13 and np.ptp(columns) >= 40)


FACES = st.lists(
    st.tuples(st.floats(-50, 500), st.floats(-50, 400), st.floats(1, 400), st.floats(1, 400)),
    min_size=1,
    max_size=12,
)


@given(FACES, st.integers(20, 900), st.integers(20, 900))
@settings(deadline=None, max_examples=60)
def test_labels_lie_in_the_picture_and_on_no_other_label(boxes, width, height):
    places = []
    with pytest.MonkeyPatch.context() as patch:
        original = annotate._label
        patch.setattr(annotate, "_label", lambda *given: places.append(place := original(*given)) or place)
        rows = [
            face(*box, expression=EXPRESSIONS[i % 7], status=("ok", "uncertain")[i % 2])
            for i, box in enumerate(boxes)
        ]
        drawn = annotated(of_array(np.zeros((height, width, 3), np.uint8), ""), rows)
    assert len(places) == len(boxes)
    places = [place for place in places if place]
    for i, (left, top, right, bottom) in enumerate(places):
        assert 0 <= left < right <= drawn.width and 0 <= top < bottom <= drawn.height
        for other in places[:i]:
            assert right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top


def test_titles_say_how_sure():
    assert title(FACE) == "happy 97 %" and title(FACE._replace(status="uncertain")) == "happy? 97 %"


def test_every_expression_has_a_colour_of_its_own():
    assert {*COLOURS} == {*EXPRESSIONS} and len({*COLOURS.values()}) == 7


def test_a_picture_without_a_face_stays_as_it_is():
    image = np.random.default_rng(0).integers(0, 256, (500, 600, 3), np.uint8)
    rows = [NOTHING._replace(status="no_face")]
    assert np.array_equal(annotated(of_array(image, ""), rows), image)


@pytest.mark.slow
def test_a_gallery_has_each_face_up_to_a_limit(tmp_path):
    photo = np.zeros((300, 300, 3), np.uint8)
    ImageDraw.Draw(drawn := Image.fromarray(photo)).rectangle((100, 100, 200, 200), "white")
    picture, row = of_array(np.asarray(drawn), "a.jpg"), face(100, 100, 100, 100)
    cut = face_of(picture, row)
    assert cut.shape == (SIDE, SIDE, 3) and 0.4 < (cut > 128).mean() < 0.7
    gallery = Gallery()
    for _ in range(3):
        gallery.add([row] * 150, [cut] * 150)
    gallery.save(tmp_path / "faces.png")
    assert gallery.left_out == 450 - MOST
    with Image.open(tmp_path / "faces.png") as sheet:
        assert of_colour(sheet, "happy").sum() == pytest.approx(MOST * SIDE * 6, rel=0.1)


def test_a_gallery_of_no_face_says_so(tmp_path):
    Gallery().save(tmp_path / "faces.png")
    with Image.open(tmp_path / "faces.png") as sheet:
        assert (np.asarray(sheet) < 100).any()
