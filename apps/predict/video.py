"""What the command does with a video, a camera or a stream: rows as they come, an annotated video, a
timeline."""

import sys
from argparse import Namespace
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from apps.predict.annotate import COLOURS, annotated
from apps.predict.answering import Tally, with_bar
from apps.predict.pictures import of_array
from apps.predict.predictor import Predictor
from apps.predict.sources import Item
from apps.predict.tables import UNREADABLE, Row, empty_row
from apps.predict.video_reader import Span, VideoReader
from apps.predict.writers import Printed, TableFile
from fer_tasks.labels import EXPRESSIONS
from fer_tasks.storage.files import write_bytes
from fer_tasks.video.frames import BadVideo, Frame
from fer_tasks.video.timeline import Timeline
from fer_tasks.video.webm import WebM

AFTER = 5e-4  # s: the times of rows have three decimals


class Pictures:
    """The annotated video and the timeline of one video, those that are asked for."""

    def __init__(self, item: Item, arguments: Namespace):
        self._title, self._start = Path(item.place).name, arguments.start
        self._timeline_file = _beside(arguments.timeline, item, ".png")
        copy = _beside(arguments.annotated, item, ".webm")
        self._timeline, self._copy = Timeline(), copy and WebM(copy)

    def go_on(self, earlier: Iterable[tuple[float, list[int], np.ndarray]]) -> None:
        """Go on after the frames of an earlier run, which `VideoReader.go_on` yields."""
        for time, tracks, shares in earlier:
            self._timeline.add(time, tracks, shares)
            if self._copy:
                self._copy.resume_at = time - self._start + AFTER

    def add(self, frame: Frame, rows: Sequence[Row]) -> None:
        faces = [row for row in rows if row.expression is not None]
        shares = np.array([[getattr(row, name) for name in EXPRESSIONS] for row in faces]).reshape(-1, 7)
        self._timeline.add(frame.time, [row.track for row in faces], shares)
        if self._copy and frame.image is not None:
            drawn = annotated(of_array(frame.image, ""), [*map(_smoothed, rows)])
            self._copy.add(np.asarray(drawn), frame.time - self._start)

    def save(self) -> None:
        """Write both, also where the run was interrupted. Raises DiskError."""
        if self._copy:
            self._copy.close()
        if self._timeline_file:
            write_bytes(self._timeline_file, self._timeline.png(self._title, COLOURS))


def predict_video(
    item: Item, predictor: Predictor, table: Printed | TableFile, arguments: Namespace, tally: Tally
) -> None:
    """Answer for all frames of one video; those of an unfinished run are not asked again. Ctrl-C ends a
    camera or a stream as the end of a file ends a video.

    Raises:
        DiskError: a disk is full or cannot be written.
    """
    span = Span(arguments.fps, arguments.start, arguments.end)
    reader = VideoReader(predictor, item.name, span, arguments.smooth)
    pictures = Pictures(item, arguments)
    if reader.name in table.done:
        pictures.go_on(reader.go_on(table.rows(reader.name)))
        if reader.is_over or reader.name != [*table.done][-1]:  # another one follows
            return
    try:
        with closing(reader.answers(_tell)) as answers:
            for frame, rows in with_bar(answers, " frames", table):
                table.append(rows)
                tally.add_frame(rows)
                pictures.add(frame, rows)
    except BadVideo as bad:
        _tell(str(bad))
        rest = [empty_row(reader.name, UNREADABLE, predictor.model, reader.next)]
        table.append(rest)
        tally.add_frame(rest)
    except KeyboardInterrupt:
        if not reader.is_live:
            raise
    finally:
        pictures.save()


def _tell(message: str) -> None:
    sys.stderr.write(f"{message}\n")


def _beside(folder: Path | None, item: Item, suffix: str) -> Path | None:
    return folder and folder / f"{item.place}{suffix}"


def _smoothed(row: Row) -> Row:
    """A row that shows its smoothed answer, if there is one."""
    if row.expression_smooth is None:
        return row
    return row._replace(expression=row.expression_smooth, confidence=row.confidence_smooth)
