"""The rows that answers are told in, and how their numbers are written."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from fer_tasks.labels import EXPRESSIONS

OK, UNCERTAIN, NO_FACE, UNREADABLE = "ok", "uncertain", "no_face", "unreadable"
SHOWN = {"file": 28, "face": 4, "status": 10, "expression": 10, "confidence": 10, "set": 26}  # widths
SHOWN_OF_VIDEOS = {"file": 28, "time": 9, "track": 5, **{name: SHOWN[name] for name in [*SHOWN][2:]}}


class Row(NamedTuple):
    """One face of a picture or a frame; or none, where all from `face` on is None but the status and model.

    The faces of a picture come largest first.
    """

    file: str  # as the user named it: a path, `-`, a URL, the number of a camera
    frame: int | None  # of a video, from 0
    time: float | None  # s, of a video
    face: int | None  # from 0, the largest face of the picture first
    track: int | None  # of a video, from 0: the face's id
    status: str  # ok, uncertain, no_face or unreadable
    x: float | None  # px of the upright picture: the left side of the face's box
    y: float | None  # its upper side
    width: float | None
    height: float | None
    face_score: float | None  # MTCNN's confidence, 0..1; None where the whole picture is the face
    expression: str | None  # the most probable one
    confidence: float | None  # its probability
    angry: float | None  # probabilities, 0..1; they sum to 1
    disgust: float | None
    fear: float | None
    happy: float | None
    neutral: float | None
    sad: float | None
    surprise: float | None
    set: str | None  # expressions that hold the true one with the coverage asked for, joined by |
    model: str  # name@the first 8 digits of its fingerprint
    expression_smooth: str | None = None  # of a video that is smoothed: the most probable one over time
    confidence_smooth: float | None = None  # its probability


*_, MODEL, EXPRESSION_SMOOTH, CONFIDENCE_SMOOTH = Row._fields
COLUMNS = Row._fields[:-2]
SMOOTHED_COLUMNS = (*COLUMNS[:-1], EXPRESSION_SMOOTH, CONFIDENCE_SMOOTH, MODEL)
INTEGERS = ("frame", "face", "track")
TEXTS = ("file", "status", "expression", "expression_smooth", "set", "model")


def empty_row(file: str, status: str, model: str, frame: int | None = None, time: float | None = None) -> Row:
    """The row of a picture or a frame that has no face, or that cannot be read."""
    values = {"file": file, "frame": frame, "time": time, "status": status, "model": model}
    return Row(**{**dict.fromkeys(Row._fields), **values})


def rounded(row: Row) -> dict[str, Any]:
    """A row's values as text formats have them: probabilities of 4 decimals that still sum to 1."""
    values = row._asdict()
    if row.confidence is not None:
        values |= dict(zip(EXPRESSIONS, rounded_shares([values[name] for name in EXPRESSIONS]), strict=True))
        values["confidence"] = values[row.expression]
    if row.confidence_smooth is not None:
        values["confidence_smooth"] = round(row.confidence_smooth, 4)
    return values


def rounded_shares(shares: Sequence[float], digits: int = 4) -> list[float]:
    """Shares that sum to 1, rounded so that they still do: the largest remainders are rounded up, of equal
    ones the first."""
    units = np.array(shares) * 10**digits
    whole = np.floor(units).astype(int)
    missing = 10**digits - int(whole.sum())
    whole[np.argsort(whole - units, kind="stable")[:missing]] += 1
    return [round(int(unit) / 10**digits, digits) for unit in whole]


def head_line(widths: Mapping[str, int]) -> str:
    """The first line of the table that a terminal shows."""
    return "  ".join([*(name.ljust(width) for name, width in widths.items()), "box"])


def line(row: Row, widths: Mapping[str, int]) -> str:
    """A row of the table that a terminal shows: these columns, and the box: x, y, width, height. Of a long
    name the end is shown."""
    values = rounded(row)
    if len(row.file) > widths["file"]:
        values["file"] = "…" + row.file[1 - widths["file"] :]
    values["set"] = (row.set or "").replace("|", " ")
    texts = {name: "" if values[name] is None else str(values[name]) for name in widths}
    texts["confidence"] = "" if row.confidence is None else f"{values['confidence']:.4f}"
    box = " ".join(f"{side:.0f}" for side in row[6:10] if side is not None)
    return "  ".join([*(texts[name].ljust(width) for name, width in widths.items()), box]).rstrip()
