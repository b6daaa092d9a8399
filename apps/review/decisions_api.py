"""What people's words make of the faces on the queue: what stands of each, and what does not apply."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from apps.review.decision_log import DecisionLog, Row
from apps.review.review_queue import ReviewQueue
from fer_tasks.cleaning.decisions import VERDICTS, is_disputed, standing
from fer_tasks.labels import EXPRESSIONS, expression_of

MAX_DECISIONS = 500  # in one request
_ONE_LINE = r"^[^\p{Cc}\p{Zl}\p{Zp}]*$"  # no control characters, no line breaks of any kind


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Decision(_Strict):
    """What a person says of a face, having seen `seen` rows about these pixels of it."""

    image_id: str = Field(max_length=40)
    pixels: str = Field(max_length=40)
    seen: int = Field(ge=0)
    verdict: Literal[*VERDICTS]
    label: Literal["", *EXPRESSIONS] = ""
    note: Annotated[str, StringConstraints(strip_whitespace=True, max_length=200, pattern=_ONE_LINE)] = ""

    @model_validator(mode="after")
    def _a_relabel_names_a_label(self) -> "Decision":
        if (self.verdict == "relabel") != bool(self.label):
            raise ValueError("relabel, and nothing else, comes with a label")
        return self


class DecisionRequest(_Strict):
    """The body of a request: words of one person, one a face."""

    reviewer: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60, pattern=_ONE_LINE)
    ]
    decisions: list[Decision] = Field(min_length=1, max_length=MAX_DECISIONS)

    @model_validator(mode="after")
    def _one_a_face(self) -> "DecisionRequest":
        if len({word.image_id for word in self.decisions}) < len(self.decisions):
            raise ValueError("a face is there twice")
        return self


class State(NamedTuple):
    """What was said of a face as it is now."""

    rows: list[Row]
    stands: list[Row]  # one of each reviewer, or the one that settled a dispute
    stale: int  # rows about other pixels

    @property
    def name(self) -> str:
        if self.stands:
            return "disputed" if is_disputed(self.stands) else "decided"
        return "stale" if self.stale else "undecided"


def state_of(queue: ReviewQueue, log: DecisionLog, image_id: str) -> State:
    said = log.about(image_id)
    rows = [row for row in said if row["pixels"] == queue.faces[image_id]["pixels"]]
    return State(rows, standing(rows), len(said) - len(rows))


def states_json(queue: ReviewQueue, log: DecisionLog, faces: Iterable[str]) -> dict[str, dict]:
    """The states of the faces that are on the queue, as the page takes them."""
    states = {image_id: state_of(queue, log, image_id) for image_id in faces if image_id in queue.faces}
    return {
        image_id: {
            "seen": len(state.rows),
            "state": state.name,
            "stands": [{**row, "label": expression_of(row["label"]) or ""} for row in state.stands],
        }
        for image_id, state in states.items()
    }


def not_applied(queue: ReviewQueue, log: DecisionLog) -> dict[str, int]:
    """How many rows are about faces that are not here, and about pixels that have changed."""
    counts = {"unknown": 0, "stale": 0}
    for image_id in log.faces():
        if image_id not in queue.faces:
            counts["unknown"] += len(log.about(image_id))
        else:
            now = queue.faces[image_id]["pixels"]
            counts["stale"] += sum(row["pixels"] != now for row in log.about(image_id))
    return counts


def missing(queue: ReviewQueue, words: DecisionRequest) -> list[str]:
    """The faces that are not on the queue as the reviewer saw them."""
    return [
        word.image_id
        for word in words.decisions
        if word.image_id not in queue.faces or queue.faces[word.image_id]["pixels"] != word.pixels
    ]


def conflicts(queue: ReviewQueue, log: DecisionLog, words: DecisionRequest) -> list[str]:
    """The faces of which somebody has said something that the reviewer has not seen."""
    return [
        word.image_id
        for word in words.decisions
        if len(state_of(queue, log, word.image_id).rows) != word.seen
    ]


def rows_of(words: DecisionRequest) -> list[list[str]]:
    """The words as rows of the decisions file, said now."""
    now = datetime.now(UTC).isoformat(timespec="microseconds")  # a second word within a second is another row
    return [
        [word.image_id, word.pixels, word.verdict, word.label, words.reviewer, now, word.note]
        for word in words.decisions
    ]
