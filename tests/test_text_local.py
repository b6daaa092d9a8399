"""Writing on faces: found and read, and mouths are no writing."""

from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from skimage import data

from fer_tasks.text.local import find_text

RULE = {"side": 256, "min_aspect": 1.3, "max_height": 0.35}
FACE = np.ascontiguousarray(data.astronaut()[20:200, 140:320])


def captioned(text: str, at: tuple[int, int] = (90, 160), size: int = 22) -> np.ndarray:
    font = ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans-Bold.ttf"), size)
    image = Image.fromarray(FACE)
    ImageDraw.Draw(image).text(at, text, "white", font, anchor="mm", stroke_width=2, stroke_fill="black")
    return np.asarray(image)


@pytest.fixture(scope="module")
def found():
    return find_text([FACE, captioned("MONDAY"), captioned("SALE 50%", at=(90, 20))], **RULE)


def test_a_face_without_writing(found):
    row = found.iloc[0]
    assert not row["has_text"] and (row["text"], row["text_boxes"], row["text_share"]) == ("", "[]", 0)


def test_writing_is_found_where_it_is_and_read(found):
    assert found["has_text"].tolist() == [False, True, True]
    assert found["text"][1] == "MONDAY" and "SALE" in found["text"][2]
    (row, column, height, width), *_ = eval(found["text_boxes"][1])
    assert row < 160 < row + height and column < 90 < column + width and width > 2 * height
    assert 0.02 < found["text_share"][1] < 0.3 and set(found["engine"]) == {"local"}


def test_the_rule_decides(found):
    assert not find_text([captioned("MONDAY")], 256, min_aspect=30, max_height=0.35)["has_text"][0]
    assert not find_text([captioned("MONDAY")], 256, min_aspect=1.3, max_height=0.01)["has_text"][0]


def test_no_face_no_row():
    table = find_text([], **RULE)
    assert table.empty and list(table.columns) == list(find_text([FACE], **RULE).columns)
