"""What was asked of OCR.space and what it answered, kept where a person can look at both.

<root>/<question>/
  sheet.jpg     the picture that went out: a sheet of faces, or one face by itself
  layout.json   faces: their pixel hashes; layout: what lies where on the sheet, null for one face
  reply.json    the reply, as it came; written last

What is known of a face is worked out from these files alone, so an answer is never asked for twice, however
the next sheets are laid out, and a better reading of old replies costs no call.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fer_tasks.text import sheets
from fer_tasks.text.lines import Line
from fer_tasks.text.ocr_space import NotRead, TooLarge, read
from fer_tasks.text.sheets import Layout, Place


class Question(NamedTuple):
    """A picture to send, and the faces on it, by pixel hash; `layout` is None for one face by itself."""

    id: str
    faces: list[str]
    layout: Layout | None
    jpeg: bytes


class Replies(NamedTuple):
    """What the replies so far tell, by pixel hash."""

    lines: dict[str, list[Line]]  # of the faces that were read
    unread: dict[str, str]  # faces that were refused by themselves, and why
    at_most: dict[str, int]  # faces to ask about anew, so many at a time at most
    max_bytes: int | None  # of a picture; larger ones were refused
    believed: int  # sheets whose canary was read
    doubted: int  # and those whose was not


def make_question(faces: dict[str, np.ndarray]) -> Question:
    """A sheet of faces, (M, N, 3) uint8 by pixel hash; one face alone is sent as it is."""
    if len(faces) == 1:
        image, layout = next(iter(faces.values())), None
    else:
        image, layout = sheets.lay_out(list(faces.values()))
    jpeg = sheets.encode(image)
    return Question(hashlib.sha256(jpeg).hexdigest()[:16], list(faces), layout, jpeg)


def files_of(question: Question) -> dict[str, bytes]:
    """What to write down of a question before it is asked, by file name."""
    laid_out = json.dumps({"faces": question.faces, "layout": question.layout})
    return {"sheet.jpg": question.jpeg, "layout.json": laid_out.encode()}


def replay_replies(root: Path) -> Replies:
    """All that the kept replies tell. A sheet whose canary was not read tells nothing but that."""
    known = Replies({}, {}, {}, None, 0, 0)
    for file in sorted(root.glob("*/reply.json")):
        asked = json.loads((file.parent / "layout.json").read_text())
        known = _learn(known, asked["faces"], asked["layout"], file)
    return known


def _learn(known: Replies, faces: list[str], layout: Sequence | None, reply: Path) -> Replies:
    try:
        words = read(reply.read_text())
    except NotRead as fault:
        if isinstance(fault, TooLarge) and layout:
            size = reply.with_name("sheet.jpg").stat().st_size // 2
            return known._replace(max_bytes=min(size, known.max_bytes or size))
        if layout:
            _ask_anew(known, faces, len(faces) // 2)
        else:
            known.unread[faces[0]] = str(fault)
        return known
    if not layout:
        known.lines[faces[0]] = sheets.lines_of(words)
        return known
    where = Layout([Place(*place) for place in layout[0]], Place(*layout[1]), Place(*layout[2]))
    if not sheets.canary_was_read(words, where):
        _ask_anew(known, faces, 1)
        return known._replace(doubted=known.doubted + 1)
    lines, doubtful = sheets.assign(words, where)
    _ask_anew(known, [faces[i] for i in doubtful], 1)
    known.lines.update({face: lines[i] for i, face in enumerate(faces) if i not in doubtful})
    return known._replace(believed=known.believed + 1)


def _ask_anew(known: Replies, faces: Sequence[str], at_most: int) -> None:
    known.at_most.update({face: min(at_most, known.at_most.get(face, at_most)) for face in faces})
