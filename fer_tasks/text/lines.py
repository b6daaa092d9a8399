"""Lines of writing on a face, by any engine, and the rule that decides which of them count."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple


class Line(NamedTuple):
    """A line of writing: its text, "" if it could not be read, and its box in px of the face."""

    text: str
    row: float
    column: float
    height: float
    width: float


def apply_writing_rule(
    lines: Sequence[Line], shape: tuple[int, int], min_aspect: float, max_height: float, min_letters: int
) -> dict[str, Any]:
    """Decide whether a face of `shape` (height, width) px has writing on it.

    A line counts if its box is at least `min_aspect` times as wide as high and its height is at most
    `max_height` of the face's: engines mistake mouths and eyes for writing, and their boxes have other
    shapes. Text that was read must also have `min_letters` letters or digits.

    Returns has_text and, for the lines that count, text, text_boxes (JSON list of [row, column, height,
    width] in px) and text_share (of the face's area, 0..1).
    """
    height, width = shape
    counting = [
        line
        for line in lines
        if line.width >= min_aspect * line.height
        and line.height <= max_height * height
        and (not line.text or sum(map(str.isalnum, line.text)) >= min_letters)
    ]
    share = sum(line.height * line.width for line in counting) / (height * width)
    return {
        "has_text": bool(counting),
        "text": " ".join(line.text for line in counting if line.text),
        "text_boxes": json.dumps([[round(side, 1) for side in line[1:]] for line in counting]),
        "text_share": round(min(share, 1.0), 4),
    }
