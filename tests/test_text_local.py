"""Writing on faces: found and read, and mouths are no writing."""

import json

import pytest

from fer_tasks.text.lines import Line, apply_writing_rule
from fer_tasks.text.local import find_lines
from tests.test_sheets import captioned, face

RULE = {"min_aspect": 1.3, "max_height": 0.35, "min_letters": 2}
ENGINE = {"side": 320, "min_confidence": 0.55}


def look(image):
    return apply_writing_rule(find_lines([image], **ENGINE)[0], image.shape[:2], **RULE)


def test_a_face_without_writing():
    assert look(face(150)) == {"has_text": False, "text": "", "text_boxes": "[]", "text_share": 0}


@pytest.mark.parametrize("text", ["MONDAY", "SALE 50%"])
def test_writing_is_found_where_it_is_and_read(text):
    found = look(captioned(text))
    assert found["has_text"] and found["text"].replace(" ", "") == text.replace(" ", "")
    (row, column, height, width), *_ = json.loads(found["text_boxes"])
    assert row < 127 < row + height and column < 75 < column + width and width > 2 * height
    assert 0.02 < found["text_share"] < 0.3


@pytest.mark.parametrize(
    ("line", "counts"),
    [
        (Line("stock", 100, 10, 20, 80), True),
        (Line("", 100, 10, 20, 80), True),  # found, though in letters that the engine cannot read
        (Line("|", 100, 10, 20, 80), False),
        (Line("- 7 -", 100, 10, 20, 80), False),
        (Line("행복", 100, 10, 20, 80), True),
        (Line("stock", 100, 10, 60, 80), False),
        (Line("stock", 100, 10, 20, 24), False),
    ],
)
def test_the_rule_decides(line, counts):
    verdict = apply_writing_rule([line], (150, 150), **RULE)
    assert verdict["has_text"] == counts and (verdict["text_boxes"] != "[]") == counts
    assert verdict["text"] == (line.text if counts else "")
    assert verdict["text_share"] == pytest.approx(counts * line.height * line.width / 150**2, abs=1e-4)


def test_no_face_no_lines():
    assert find_lines([], **ENGINE) == []
