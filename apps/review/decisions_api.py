"""Requests with decisions, the state of each face in the queue, and the decisions that do not apply."""

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
    """A person's decision on a face; `seen` is the number of rows for these pixels that the page had read."""

    image_id: str = Field(max_length=40)
    pixels: str = Field(max_length=40)
    seen: int = Field(ge=0)
    verdict: Literal[*VERDICTS]
    label: Literal["", *EXPRESSIONS] = ""
    note: Annotated[str, StringConstraints(strip_whitespace=True, max_length=200, pattern=_ONE_LINE)] = ""

    @model_validator(mode="after")
    def _a_relabel_names_a_label(self) -> "Decision":
        if (self.verdict == "relabel") != bool(self.label):
            raise ValueError("give a label with relabel, and with no other verdict")
        return self


class DecisionRequest(_Strict):
    """The body of a request: one person's decisions, at most one a face."""

    reviewer: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60, pattern=_ONE_LINE)
    ]
    decisions: list[Decision] = Field(min_length=1, max_length=MAX_DECISIONS)

    @model_validator(mode="after")
    def _one_a_face(self) -> "DecisionRequest":
        if len({decision.image_id for decision in self.decisions}) < len(self.decisions):
            raise ValueError("a face appears twice")
        return self


class State(NamedTuple):
    """The decisions on a face."""

    rows: list[Row]  # those for its present pixels
    stands: list[Row]  # those of `rows` that are in force, see `standing`
    stale: int  # number of rows for other pixels

    @property
    def name(self) -> str:
        if self.stands:
            return "disputed" if is_disputed(self.stands) else "decided"
        return "stale" if self.stale else "undecided"


def state_of(queue: ReviewQueue, log: DecisionLog, image_id: str) -> State:
    all_rows = log.about(image_id)
    rows = [row for row in all_rows if row["pixels"] == queue.faces[image_id]["pixels"]]
    return State(rows, standing(rows), len(all_rows) - len(rows))


def states_json(queue: ReviewQueue, log: DecisionLog, faces: Iterable[str]) -> dict[str, dict]:
    """The states of the given faces, those in the queue, as the page reads them."""
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
    """How many rows do not apply: `unknown`, for faces not in the queue, and `stale`, for changed pixels."""
    counts = {"unknown": 0, "stale": 0}
    for image_id in log.faces():
        if image_id not in queue.faces:
            counts["unknown"] += len(log.about(image_id))
        else:
            pixels = queue.faces[image_id]["pixels"]
            counts["stale"] += sum(row["pixels"] != pixels for row in log.about(image_id))
    return counts


def missing(queue: ReviewQueue, request: DecisionRequest) -> list[str]:
    """The faces that are not in the queue with the pixels that the reviewer saw."""
    return [
        decision.image_id
        for decision in request.decisions
        if decision.image_id not in queue.faces or queue.faces[decision.image_id]["pixels"] != decision.pixels
    ]


def conflicts(queue: ReviewQueue, log: DecisionLog, request: DecisionRequest) -> list[str]:
    """The faces with decisions that the reviewer has not seen."""
    return [
        decision.image_id
        for decision in request.decisions
        if len(state_of(queue, log, decision.image_id).rows) != decision.seen
    ]


def rows_of(request: DecisionRequest) -> list[list[str]]:
    """The decisions as rows of the file, with the present time."""
    # Microseconds, so that an equal decision within the same second is another row.
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    return [
        [one.image_id, one.pixels, one.verdict, one.label, request.reviewer, now, one.note]
        for one in request.decisions
    ]
