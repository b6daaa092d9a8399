"""Store requests to OCR.space and its replies, and derive results from them.

<root>/<request id>/
  sheet.jpg     the picture that was sent: a sheet of faces, or a single face
  layout.json   faces: their pixel hashes; layout: their places on the sheet, null for a single face
  reply.json    the unchanged reply; written last

Results are derived from these files alone. So no face is sent twice, however later sheets are laid out, and
interpreting old replies in a better way costs no call.
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
    """A picture to send, and the faces on it."""

    id: str  # 16 hex digits, by the picture's bytes
    faces: list[str]  # pixel hashes
    layout: Layout | None  # None for a single face
    jpeg: bytes


class Replies(NamedTuple):
    """The results of all replies so far. Faces are named by their pixel hashes."""

    lines: dict[str, list[Line]]  # of the faces that were read
    unread: dict[str, str]  # faces that could not be read even by themselves, with the error
    at_most: dict[str, int]  # faces to send again, with the most faces that a sheet with them may have
    max_bytes: int | None  # of a picture, since larger ones were refused; None if none was
    believed: int  # number of sheets whose canary was read
    doubted: int  # number of sheets whose canary was not read


def make_question(faces: dict[str, np.ndarray]) -> Question:
    """Lay faces out on a sheet; a single face is sent as it is. `faces`: (M, N, 3) uint8 by pixel hash."""
    if len(faces) == 1:
        image, layout = next(iter(faces.values())), None
    else:
        image, layout = sheets.lay_out(list(faces.values()))
    jpeg = sheets.encode(image)
    return Question(hashlib.sha256(jpeg).hexdigest()[:16], list(faces), layout, jpeg)


def files_of(question: Question) -> dict[str, bytes]:
    """The files to write before a question is sent: {name: bytes}."""
    laid_out = json.dumps({"faces": question.faces, "layout": question.layout})
    return {"sheet.jpg": question.jpeg, "layout.json": laid_out.encode()}


def replay_replies(root: Path) -> Replies:
    """Derive all results from the replies on disk. A sheet whose canary was not read gives none."""
    replies = Replies({}, {}, {}, None, 0, 0)
    for file in sorted(root.glob("*/reply.json")):
        question = json.loads((file.parent / "layout.json").read_text())
        replies = _add(replies, question["faces"], question["layout"], file)
    return replies


def _add(replies: Replies, faces: list[str], layout: Sequence | None, reply: Path) -> Replies:
    try:
        words = read(reply.read_text())
    except NotRead as fault:
        if isinstance(fault, TooLarge) and layout:
            size = reply.with_name("sheet.jpg").stat().st_size // 2
            return replies._replace(max_bytes=min(size, replies.max_bytes or size))
        if layout:
            _send_again(replies, faces, len(faces) // 2)
        else:
            replies.unread[faces[0]] = str(fault)
        return replies
    if not layout:
        replies.lines[faces[0]] = sheets.lines_of(words)
        return replies
    where = Layout([Place(*place) for place in layout[0]], Place(*layout[1]), Place(*layout[2]))
    if not sheets.canary_was_read(words, where):
        _send_again(replies, faces, 1)
        return replies._replace(doubted=replies.doubted + 1)
    lines, doubtful = sheets.assign(words, where)
    _send_again(replies, [faces[i] for i in doubtful], 1)
    replies.lines.update({face: lines[i] for i, face in enumerate(faces) if i not in doubtful})
    return replies._replace(believed=replies.believed + 1)


def _send_again(replies: Replies, faces: Sequence[str], at_most: int) -> None:
    replies.at_most.update({face: min(at_most, replies.at_most.get(face, at_most)) for face in faces})
