"""Read the frames of a video, a camera or a stream, one at a time, each with its number and its true time."""

import math
import os
import time as clock
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from fer_tasks.errors import UserError
from fer_tasks.video.addresses import is_address, without_password
from fer_tasks.video.diagnosis import is_cut_off, why_unreadable

PATIENCE = 30.0  # s in which a camera or a stream that broke off is opened again
PAUSE = 0.5  # s between two tries
ROUNDING = 1e-6  # s
LIMITS = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, 10_000, cv2.CAP_PROP_READ_TIMEOUT_MSEC, 10_000]  # of a stream
JPEGS = cv2.VideoWriter.fourcc(*"MJPG")  # over HTTP they come without times
Moment = tuple[float, cv2.VideoCapture]  # time in s, and what has just grabbed the frame

# What is wrong is said in our own words.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


class BadVideo(UserError):
    """A video, a camera or a stream that cannot be read, or not to its end."""


class Frame(NamedTuple):
    """A frame of a video."""

    number: int  # from 0, counted from the start of the file or since the stream was opened
    time: float  # s since then
    image: np.ndarray | None  # (M, N, 3) uint8 RGB, upright; None if it is damaged


def video_frames(
    source: int | str | Path,
    fps: float | None = None,
    start: float = 0.0,
    end: float | None = None,
    first: int = 0,
    tell: Callable[[str], None] = lambda message: None,
) -> Iterator[Frame]:
    """Yield the frames of a file (its path), of a camera (its number) or of a stream (a URL).

    `fps`: at most so many a second, those next to even steps; None: all. `start`, `end`: s; from `start` to
    before `end`. `first`: leaves out the frames before this number. Frames of another size than the first
    one's are scaled to it. A camera or a stream that breaks off is opened again for PATIENCE s; `tell` is
    called with a message then.

    Raises:
        BadVideo: nothing can be read, or it ends before `start`; and, after the frames that
            could be read: the file is cut off, or the stream did not come back.
    """
    due, time = start, -1.0
    moments = _live(source, tell) if is_live(source) else _of_file(Path(source))
    for number, (time, capture) in enumerate(moments):
        if end is not None and time >= end - ROUNDING:
            break
        if time < due - ROUNDING:
            continue
        if fps is not None:
            due = start + (math.floor((time - start) * fps + ROUNDING) + 1) / fps
        if number >= first:
            whole, image = capture.retrieve()
            yield Frame(number, round(time, 3), cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if whole else None)
    if time < start - ROUNDING:
        last = f"its last one is at {time:.2f} s"
        raise BadVideo(f"{without_password(source)} has no frame from {start:g} s on: {last}")


def is_live(source: int | str | Path) -> bool:
    """Whether a source is a camera or a stream, not a file."""
    return isinstance(source, int) or is_address(source)


def _of_file(path: Path) -> Iterator[Moment]:
    # By its whole path: FFmpeg would take what stands before a colon for a protocol.
    capture = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG)
    if not capture.grab():
        raise BadVideo(f"{path}: {why_unreadable(path)}")
    for time, _ in _timed(capture):
        yield time, capture
    if is_cut_off(path):
        raise BadVideo(f"{path} is cut off: it ends at {time:.2f} s; copy it again")


def _timed(capture: cv2.VideoCapture) -> Iterator[Moment]:
    """The frames of something that was recorded, whose first one has been grabbed, with the times that it
    names."""
    time, is_there = 0.0, True
    while is_there:
        time = max(time, capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
        yield time, capture
        is_there = capture.grab()
    capture.release()


def _live(source: int | str, tell: Callable[[str], None]) -> Iterator[Moment]:
    opened, capture = clock.monotonic(), _connected(source)
    name = f"camera {source}" if isinstance(source, int) else without_password(source)
    if not capture.grab():
        raise BadVideo(_missing(source, name))
    if is_address(source) and capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0:  # a file on a server
        yield from _timed(capture)
        return
    first = taken = _taken(source, capture, opened)
    while capture is not None:
        last, taken = clock.monotonic(), max(taken, _taken(source, capture, opened))
        yield taken - first, capture
        if not capture.grab():
            capture.release()
            tell(f"{name} broke off; it is opened again for up to {PATIENCE:g} s")
            opened, capture = _connected_again(source, last + PATIENCE)
    reason = f"broke off after {taken - first:.1f} s and did not come back within {PATIENCE:g} s"
    raise BadVideo(f"{name} {reason}")


def _taken(source: int | str, capture: cv2.VideoCapture, opened: float) -> float:
    """When the frame that was just grabbed was taken, in s of the steady clock: by the time that comes with
    it, if there is one, since it may have waited: FFmpeg reads up to 5 s ahead as it opens a stream by RTSP,
    and HLS sends some seconds at once."""
    scheme = str(source).partition("://")[0].lower()
    by_http = scheme in ("http", "https") and capture.get(cv2.CAP_PROP_FOURCC) != JPEGS
    if scheme in ("rtsp", "rtsps") or by_http:
        return opened + capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
    return clock.monotonic()


def _connected(source: int | str) -> cv2.VideoCapture:
    if isinstance(source, int):
        return cv2.VideoCapture(source)
    return cv2.VideoCapture(source, cv2.CAP_FFMPEG, LIMITS)


def _connected_again(source: int | str, until: float) -> tuple[float, cv2.VideoCapture | None]:
    """When it was opened, and what has grabbed a frame; None if there is none until then."""
    while (opened := clock.monotonic()) < until:
        capture = _connected(source)
        if capture.grab():
            return opened, capture
        capture.release()
        clock.sleep(PAUSE)
    return opened, None


def _missing(source: int | str, name: str) -> str:
    if not isinstance(source, int):
        return f"{name} sends no video; is the address right, and the camera or server on?"
    numbers = sorted(int(path.name[5:]) for path in Path("/dev").glob("video[0-9]*"))
    others = f"numbers here: {', '.join(map(str, numbers))}" if numbers else "none is connected"
    return f"{name} cannot be opened; {others}"
