"""Contact sheets: every face at its own size on one of them, and every word back where it belongs."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont
from skimage import data

from fer_tasks.text import sheets
from fer_tasks.text.local import find_lines
from fer_tasks.text.sheets import GUTTER, Layout, OcrWord

ASTRONAUT = np.ascontiguousarray(data.astronaut()[20:200, 140:320])


def face(side: int, seed: int = 0) -> np.ndarray:
    """A photo of a face, a little different for each seed."""
    shifted = np.roll(ASTRONAUT, seed, axis=1)
    return np.asarray(Image.fromarray(shifted).resize((side, side)))


def captioned(text: str, side: int = 150, size: int = 22) -> np.ndarray:
    image = Image.fromarray(face(side))
    font = ImageFont.load_default(size)
    where = (side / 2, side * 0.85)
    ImageDraw.Draw(image).text(where, text, "white", font, "mm", stroke_width=2, stroke_fill="black")
    return np.asarray(image)


@pytest.mark.slow
@given(
    sides=st.lists(st.integers(24, 160), min_size=1, max_size=12),
    max_bytes=st.sampled_from([40_000, 60_000, 1_000_000]),
    max_side=st.sampled_from([500, 5000]),
    most=st.sampled_from([1, 4, 1000]),
)
@settings(max_examples=40, deadline=None)
def test_every_face_is_on_one_sheet_within_the_limits(sides, max_bytes, max_side, most):
    faces = {str(i): face(side, i) for i, side in enumerate(sides)}
    batches = list(sheets.fill(iter(faces.items()), max_bytes, max_side, most))
    assert [name for batch in batches for name in batch] == list(faces)
    for batch in batches:
        assert len(batch) <= most
        sheet, layout = sheets.lay_out(list(batch.values()))
        if len(batch) > 1:
            assert len(sheets.encode(sheet)) <= max_bytes and max(sheet.shape) <= max_side
        grey = np.ones(sheet.shape[:2], bool)
        for place, pixels in zip(layout.faces, batch.values(), strict=True):
            row, column, height, width = place
            assert (sheet[row : row + height, column : column + width] == pixels).all()
        for row, column, height, width in [*layout.faces, layout.caption, layout.blank]:
            around = grey[row - GUTTER : row + height + GUTTER, column - GUTTER : column + width + GUTTER]
            assert around.all() and around.shape == (height + 2 * GUTTER, width + 2 * GUTTER)
            around[GUTTER:-GUTTER, GUTTER:-GUTTER] = False
        assert (sheet[grey] == sheets.GREY).all()


@cache
def nine() -> Layout:
    return sheets.lay_out([face(100)] * 9)[1]


def word(row: float, column: float, height: float = 10, width: float = 30, text: str = "word") -> OcrWord:
    return OcrWord(text, row, column, height, width, line=0)


@given(st.floats(0, 380), st.floats(0, 420), st.floats(2, 60), st.floats(2, 200))
def test_a_word_is_a_face_s_or_makes_faces_doubtful_never_both(row, column, height, width):
    layout = nine()
    lines, doubtful = sheets.assign([word(row, column, height, width)], layout)
    owners = [i for i, found in enumerate(lines) if found]
    assert len(owners) <= 1 and not (owners and doubtful)
    touched = {
        i
        for i, place in enumerate(layout.faces)
        if min(row + height, place.row + place.height) > max(row, place.row)
        and min(column + width, place.column + place.width) > max(column, place.column)
    }
    on_canary = row + height > layout.caption.row
    assert owners or on_canary or touched <= doubtful


def test_words_of_a_line_become_one_line_in_px_of_the_face():
    place = nine().faces[4]
    words = [
        word(place.row + 70, place.column + 5, text="no"),
        word(place.row + 72, place.column + 45, text="way"),
    ]
    lines, doubtful = sheets.assign(words, nine())
    assert lines[4] == [("no way", 70, 5, 12, 70)] and not doubtful and sum(map(len, lines)) == 1


def test_a_word_across_two_faces_and_one_in_the_gutter_ask_about_both():
    left, right = nine().faces[4], nine().faces[5]
    edge = left.column + left.width
    _, doubtful = sheets.assign([word(left.row + 50, edge - 15, width=right.column - edge + 30)], nine())
    assert doubtful == {4, 5}
    _, doubtful = sheets.assign([word(left.row + 50, edge + 1, width=right.column - edge - 2)], nine())
    assert doubtful == {4, 5}


def test_the_canary():
    caption, blank = nine().caption, nine().blank
    read = word(caption.row + 20, caption.column + 20, text="Monday")
    assert sheets.canary_was_read([read], nine())
    assert sheets.canary_was_read([read._replace(text="MOND AY")], nine())
    assert not sheets.canary_was_read([], nine())
    assert not sheets.canary_was_read([read._replace(text="HONEY")], nine())
    assert not sheets.canary_was_read([read._replace(row=nine().faces[0].row)], nine())
    assert not sheets.canary_was_read([read, word(blank.row + 20, blank.column + 20)], nine())


@pytest.mark.parametrize("side", [96, 150, 224])
def test_a_real_engine_reads_the_canary_and_finds_the_face_with_the_caption(side):
    sheet, layout = sheets.lay_out(
        [face(side, i) for i in range(5)] + [captioned("SALE 50%", side, side // 7)]
    )
    found = find_lines([sheet], max(sheet.shape[:2]), min_confidence=0.5)[0]
    words = [OcrWord(line.text, *line[1:], line=i) for i, line in enumerate(found) if line.text]
    assert sheets.canary_was_read(words, layout)
    lines, doubtful = sheets.assign(words, layout)
    assert [bool(found) for found in lines] == [False] * 5 + [True] and not doubtful
    assert "SALE" in lines[5][0].text
