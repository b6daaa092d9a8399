"""Answer for the pictures of a command line: rows, annotated copies, a gallery."""

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from apps.predict.annotate import annotated
from apps.predict.gallery import Gallery, face_of
from apps.predict.on_all_cores import on_all_cores
from apps.predict.pictures import Picture, UnreadablePicture, open_picture
from apps.predict.predictor import Predictor
from apps.predict.sources import STDIN, Item, free_name
from apps.predict.tables import NO_FACE, UNCERTAIN, UNREADABLE, Row
from apps.predict.writers import Printed, TableFile
from fer_tasks.errors import UserError
from fer_tasks.sources.names import counted, shown
from fer_tasks.storage.files import write_bytes
from fer_tasks.storage.images import encode_jpeg

T = TypeVar("T")
QUALITY = 92  # of annotated JPEGs


class Wanted(NamedTuple):
    """What is made of pictures besides rows."""

    copies: dict[Item, Path]  # where the annotated copy of each picture goes; empty if none is wanted
    gallery: Gallery | None


class Answer(NamedTuple):
    """What came of one picture."""

    rows: list[Row]
    faces: list[np.ndarray]  # for the gallery
    fault: str  # why it cannot be read, or ""


class Tally:
    """What came of all of them, for the last line."""

    def __init__(self) -> None:
        self.statuses: Counter[str] = Counter()
        self.pictures = self.frames = 0

    def go_on(self, table: Printed | TableFile) -> None:
        """Count what an unfinished run has written."""
        self.pictures += sum(not frames for frames in table.done.values())
        self.frames += sum(table.done.values())
        self.statuses.update(table.statuses)

    def add(self, rows: Sequence[Row]) -> None:
        self.pictures += 1
        self.statuses.update(row.status for row in rows)

    def add_frame(self, rows: Sequence[Row]) -> None:
        self.frames += 1
        self.statuses.update(row.status for row in rows)

    def __str__(self) -> str:
        one = self.statuses
        faces = one.total() - one[NO_FACE] - one[UNREADABLE]
        parts = [f"{counted(faces, 'face')} ({one[UNCERTAIN]:,} uncertain)"]
        parts += [f"{one[NO_FACE]:,} without a face"] if one[NO_FACE] else []
        parts += [f"{one[UNREADABLE]:,} unreadable"] if one[UNREADABLE] else []
        kinds = {"picture": self.pictures, "frame": self.frames}
        of = [counted(n, kind) for kind, n in kinds.items() if n] or [counted(0, "picture")]
        return f"{', '.join(of)}: {', '.join(parts)}"


def copies_of(items: Sequence[Item], folder: Path) -> dict[Item, Path]:
    """Where the annotated copies of pictures go: JPEGs of the same names below a folder.

    Raises:
        UserError: a copy would replace a picture that is asked about.
    """
    pictures = [item for item in items if item.kind == "picture"]
    asked = {Path(item.name).resolve() for item in pictures}
    copies: dict[Item, Path] = {}
    taken: set[Path] = set()
    for item in pictures:
        copy = free_name(folder / Path(item.place).with_suffix(".jpg"), taken)
        if copy.resolve() in asked:
            raise UserError(f"--annotated: {shown(copy)} is a picture of yours; name another folder")
        copies[item] = copy
    return copies


def answer_all(
    items: Sequence[Item], predictor: Predictor, table: Printed | TableFile, wanted: Wanted, tally: Tally
) -> None:
    """Answer for pictures in their order, on all cores; those of an unfinished run are not asked again.

    Raises:
        DiskError: a disk is full or cannot be written.
    """
    waiting = [item for item in items if shown(item.name) not in table.done]
    answers = on_all_cores(lambda item: _answer(item, predictor, wanted), waiting)
    for answer in with_bar(answers, " pictures", table, len(items), len(items) - len(waiting)):
        table.append(answer.rows)
        tally.add(answer.rows)
        if wanted.gallery and answer.faces:
            wanted.gallery.add(answer.rows, answer.faces)
        if answer.fault:
            sys.stderr.write(f"{answer.fault}\n")


def with_bar(
    answers: Iterable[T], unit: str, table: Printed | TableFile, total: int | None = None, done: int = 0
) -> Iterable[T]:
    """The answers, with a bar if they take more than two seconds and no table is shown on the same
    terminal."""
    if not sys.stderr.isatty() or (isinstance(table, Printed) and sys.stdout.isatty()):
        return answers
    from tqdm import tqdm  # here: it takes time to import

    return tqdm(answers, total=total, initial=done, unit=unit, delay=2, leave=False)


def _answer(item: Item, predictor: Predictor, wanted: Wanted) -> Answer:
    try:
        picture = open_picture(_source(item), bgr=False, name=shown(item.name))
        rows = predictor.answer(picture)
    except UnreadablePicture as unreadable:
        return Answer([predictor.unreadable(shown(item.name))], [], str(unreadable))
    if item in wanted.copies:
        _write_copy(picture, rows, wanted.copies[item])
    found = [row for row in rows if row.expression is not None]
    return Answer(rows, [face_of(picture, row) for row in found] if wanted.gallery else [], "")


def _source(item: Item) -> bytes | Path:
    return sys.stdin.buffer.read() if item.name == STDIN else Path(item.name)


def _write_copy(picture: Picture, rows: Sequence[Row], file: Path) -> None:
    drawn = annotated(picture, rows)
    write_bytes(file, encode_jpeg(np.asarray(drawn), max(drawn.size), QUALITY))
