"""Import decisions made elsewhere; export the review list as a table."""

from pathlib import Path
from typing import NamedTuple

import pandas as pd

from apps.review.decision_log import DecisionLog
from apps.review.decisions_api import State, state_of
from apps.review.review_queue import ReviewQueue
from fer_tasks.cleaning.decisions import COLUMNS, BadDecisions, apply_decisions, parse_decisions
from fer_tasks.labels import expression_of
from fer_tasks.storage.files import read_text

FORMULA = tuple("=+-@\t\r\n＝＋－＠")  # first characters of formulas, as OWASP lists them


class Imported(NamedTuple):
    """The numbers of rows that an import added, by kind."""

    new: int
    present: int  # rows not added, as they were already recorded
    stale: int  # new rows for pixels that have changed
    unknown: int  # new rows for unknown faces
    disputed: int  # faces that are disputed by the new rows


def import_decisions(path: Path, queue: ReviewQueue, log: DecisionLog) -> Imported:
    """Add the rows of a decisions file that are not recorded yet: all or none.

    Raises:
        UserError: the file is missing or not UTF-8.
        BadDecisions: the file cannot be parsed, or withdraws a decision that was never made.
        NotRecorded: the rows could not be written.
    """
    rows = parse_decisions(read_text(path), str(path))
    faces = pd.DataFrame(
        [{"image_id": i, "pixels": face["pixels"], "label": face["label"]} for i, face in queue.faces.items()]
    )
    with log.locked():
        before = log.table
        recorded = set(before[COLUMNS].itertuples(index=False, name=None))
        new = [row for row in rows[COLUMNS].itertuples(index=False, name=None) if row not in recorded]
        try:
            log.add(new)
        except BadDecisions as error:
            raise BadDecisions(f"{path} cannot be imported: {error}; nothing was added") from None
        after = log.table
    was, now = apply_decisions(faces, before), apply_decisions(faces, after)
    return Imported(
        len(new),
        len(rows) - len(new),
        len(now.stale) - len(was.stale),
        len(now.unknown) - len(was.unknown),
        len(set(now.disputed["image_id"]) - set(was.disputed["image_id"])),
    )


def review_list(queue: ReviewQueue, log: DecisionLog) -> pd.DataFrame:
    """A row for each face, worst first: its doubts, the rule that rejects it, people's decisions.

    The table is for spreadsheets: text that they would read as a formula, such as a file name from the web,
    gets an apostrophe in front.
    """
    rows = [_row(queue, i, state_of(queue, log, i)) for i in queue.faces]
    return pd.DataFrame([{name: _no_formula(value) for name, value in row.items()} for row in rows])


def _no_formula(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def _row(queue: ReviewQueue, image_id: str, state: State) -> dict[str, object]:
    face, doubts = queue.faces[image_id], queue.doubts[image_id]
    last = state.stands[-1] if state.name == "decided" else dict.fromkeys(COLUMNS, "")
    return {
        "image_id": image_id,
        "pixels": face["pixels"],
        "source": face["source"],
        "label": face["label"],
        "split": face["split"],
        "doubts": "; ".join(doubt["rule"] for doubt in doubts),
        "details": "; ".join(doubt["detail"] for doubt in doubts),
        "suggestion": queue.suggestion(image_id),
        "rejected_by_rule": queue.ruled.get(image_id, ""),
        "state": state.name,
        "verdict": last["verdict"],
        "decided_label": expression_of(last["label"]) or "",
        "reviewer": ", ".join(row["reviewer"] for row in state.stands),
        "time": last["time"],
        "note": last["note"],
    }
