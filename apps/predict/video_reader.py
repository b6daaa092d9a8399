"""Answer for the frames of a video, a camera or a stream, one after the other."""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from apps.predict.ahead import ahead
from apps.predict.following import Follower
from apps.predict.predictor import Predictor
from apps.predict.tables import UNREADABLE, Row, empty_row
from fer_tasks.errors import UserError
from fer_tasks.faces.detector import Faces
from fer_tasks.labels import EXPRESSIONS
from fer_tasks.sources.names import shown
from fer_tasks.sources.verdict import SPECIAL, fault_of
from fer_tasks.video.addresses import without_password
from fer_tasks.video.frames import BadVideo, Frame, is_live, video_frames
from fer_tasks.video.smoothing import Smoother
from fer_tasks.video.tracking import Tracker

Source = int | str | Path


class Span(NamedTuple):
    """Which frames of a video are answered for."""

    fps: float | None = None  # at most so many a second; None: all
    start: float = 0.0  # s
    end: float | None = None  # s


def as_source(name: Source) -> Source:
    """What a name stands for: `0` is a camera, if there is no such file."""
    is_camera = isinstance(name, str) and name.isdecimal() and not Path(name).exists()
    return int(name) if is_camera else name


class Seen(NamedTuple):
    """A frame, and where its faces are."""

    frame: Frame
    faces: Faces | None  # None if the frame is damaged
    is_cut: bool  # whether another scene begins


class VideoReader:
    """Answers for the frames of one video."""

    def __init__(self, predictor: Predictor, source: Source, span: Span, smooth: float):
        """`smooth`: s, see `Smoother`; 0 for none.

        Raises:
            UserError: a number is out of its range.
        """
        if span.fps is not None and not span.fps > 0:
            raise UserError(f"fps is above 0, not {span.fps}")
        if span.start < 0 or smooth < 0 or span.end is not None and span.end <= span.start:
            raise UserError("start and smooth are 0 s or later, and end is after start")
        self.name = shown(without_password(source))
        self._predictor, self._source, self._span = predictor, as_source(source), span
        self._follower, self._tracker = Follower(predictor), Tracker()
        self._smoother = Smoother(smooth) if smooth else None
        self.is_live = is_live(self._source)
        self.since: float | None = None  # s: the last frame of an earlier run
        self.next = 0  # the number of the next frame
        self.is_over = False  # whether an earlier run has read all that can be read

    def answers(
        self, tell: Callable[[str], None] = lambda message: None
    ) -> Iterator[tuple[Frame, list[Row]]]:
        """Each frame with its rows, the largest face first. `tell`: is called where a stream broke off.

        Raises:
            BadVideo: as `video_frames`; what could be read has been yielded before.
        """
        for seen in ahead(self._look(tell)):
            self.next = seen.frame.number + 1
            yield seen.frame, self._rows(seen)

    def _look(self, tell: Callable[[str], None]) -> Generator[Seen]:
        fault = None if self.is_live else fault_of(Path(self._source))
        if fault and fault.reason == SPECIAL:  # a pipe would be waited for without end
            raise BadVideo(f"{self.name}: {fault.detail}")
        begun, since = (self.next, self.since or 0.0) if self.is_live else (0, 0.0)
        for number, time, image in video_frames(self._source, *self._span, self.next - begun, tell=tell):
            frame = Frame(begun + number, round(since + time, 3), image)
            yield Seen(frame, *((None, False) if image is None else self._follower.find(image, frame.time)))

    def go_on(self, earlier: Iterable[Mapping[str, Any]]) -> Iterator[tuple[float, list[int], np.ndarray]]:
        """Go on after the frames of these rows, which an earlier run wrote; faces keep their tracks. Yields
        the time, the tracks and the (n, 7) probabilities of each of those frames."""
        for number, rows in groupby(earlier, lambda row: row["frame"]):
            seen = [row for row in rows if row["time"] is not None]
            self.is_over = not seen  # where the video could not be read on
            if self.is_over:
                continue
            self.next, time = number + 1, seen[0]["time"]
            faces = [row for row in seen if row["track"] is not None]
            for row in faces:
                box = np.array([float(row[name]) for name in ("y", "x", "height", "width")])
                self._tracker.keep(row["track"], box, time)
            tracks = [row["track"] for row in faces]
            shares = np.array([[float(row[name]) for name in EXPRESSIONS] for row in faces]).reshape(-1, 7)
            if self._smoother:
                self._smoother.update(tracks, shares, time)
            self.since = time
            yield time, tracks, shares

    def _rows(self, seen: Seen) -> list[Row]:
        (number, time, image), faces, is_cut = seen
        if faces is None:
            return [empty_row(self.name, UNREADABLE, self._predictor.model, number, time)]
        if is_cut:
            self._tracker.end_all()
        tracks = self._tracker.update(faces.boxes, time)
        shares = self._predictor.read_faces(image, faces)
        rows = self._predictor.rows(self.name, faces, shares, number, time, tracks)
        if self._smoother and tracks:
            smooth = self._smoother.update(tracks, shares, time)
            return [_with_smooth(row, mean) for row, mean in zip(rows, smooth, strict=True)]
        return rows


def _with_smooth(row: Row, smooth: np.ndarray) -> Row:
    return row._replace(expression_smooth=EXPRESSIONS[smooth.argmax()], confidence_smooth=float(smooth.max()))
