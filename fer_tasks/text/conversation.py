"""Choose the pictures to send to OCR.space next, from the replies on disk."""

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fer_tasks.text import sheets
from fer_tasks.text.replies import Question, make_question, replay_replies

TRIAL = 3  # sheets to send before the service has shown that it reads them


class Limits(NamedTuple):
    """The limits of a picture to send."""

    max_bytes: int
    max_side: int  # px
    use_sheets: bool  # many faces per picture; False: one


class Conversation:
    """Rounds of requests about faces, until each face is read, or could not be read even by itself.

    Before each round the replies on disk decide the state:

    - trial: no sheet has been read yet; the round is TRIAL sheets
    - sheets: a sheet has been read; the round is all remaining faces, as many per sheet as fit
    - single faces: a whole trial was sent and no sheet was read, or sheets are off; the round is one request
      per face
    """

    def __init__(
        self, root: Path, paths: Mapping[str, Path], limits: Limits, read: Callable[[Path], np.ndarray]
    ):
        """`paths`: files of the faces by pixel hash. `read`: path -> (M, N, 3) uint8."""
        self.root, self.limits = root, limits
        self._paths, self._read = paths, read
        self.update()

    def update(self) -> None:
        """Read the replies on disk again."""
        self.replies = replay_replies(self.root)
        answered = {*self.replies.lines, *self.replies.unread}
        self.remaining = {face: path for face, path in self._paths.items() if face not in answered}

    @property
    def sheets_fail(self) -> bool:
        """Whether a whole trial was sent and no sheet of it was read."""
        return self.limits.use_sheets and not self.replies.believed and self.replies.doubted >= TRIAL

    def next_round(self) -> Iterator[Question]:
        """The requests of the next round: large sheets first, then smaller ones for faces that a larger sheet
        did not settle."""
        if not self.limits.use_sheets or self.sheets_fail:
            return self._questions(most=1)
        questions = self._questions(most=len(self.remaining))
        return questions if self.replies.believed else islice(questions, TRIAL)

    def _questions(self, most: int) -> Iterator[Question]:
        """Requests with at most `most` faces each."""
        max_bytes = min(self.limits.max_bytes, self.replies.max_bytes or self.limits.max_bytes)
        at_most = {face: min(most, max(1, self.replies.at_most.get(face, most))) for face in self.remaining}
        for size in sorted(set(at_most.values()), reverse=True):
            faces = ((face, self._read(self.remaining[face])) for face in at_most if at_most[face] == size)
            for batch in sheets.fill(faces, max_bytes, self.limits.max_side, size):
                yield from _fitting(batch, max_bytes)


def _fitting(batch: dict[str, np.ndarray], max_bytes: int) -> Iterator[Question]:
    """One request with the whole batch, or with halves of it if the JPEG is too large."""
    question = make_question(batch)
    if len(question.jpeg) <= max_bytes or len(batch) == 1:
        yield question
        return
    faces, half = list(batch.items()), len(batch) // 2
    yield from _fitting(dict(faces[:half]), max_bytes)
    yield from _fitting(dict(faces[half:]), max_bytes)
