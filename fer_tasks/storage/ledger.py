"""registry/ledger.csv: what the gate decided about the model of each build, a row a build, in git."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from fer_tasks.storage.files import write_text

LEDGER = Path("registry/ledger.csv")
COLUMNS = (
    "time",  # UTC
    "decision",  # promoted or kept
    "outcome",  # a word for the reason
    "version",  # of the model, if it was promoted
    "model",  # its name and fingerprint
    "champion",  # the version that it was compared with
    "faces",  # on which they were compared
    "accuracy",
    "champion_accuracy",
    "gain",
    "gain_low",  # of the 95 % interval
    "gain_high",
    "p",
    "smallest_gain",  # that would have passed
    "data",  # the fingerprint of data/clean
    "reason",
)
PROMOTED, KEPT = "promoted", "kept"  # decisions
UNCHANGED = "unchanged"  # the outcome where the model is the released one
Row = Mapping[str, str]


def parse_ledger(text: str) -> list[Row]:
    """The rows of a ledger, the oldest first."""
    return [*csv.DictReader(io.StringIO(text))]


def write_ledger(path: Path, rows: Sequence[Row]) -> None:
    """Write a ledger, atomically; raises DiskError as `write_bytes`."""
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, restval="", extrasaction="ignore", lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    write_text(path, text.getvalue())


def is_news(row: Row, last: Row | None) -> bool:
    """Whether a row says something that the ledger's last row does not: another decision, or that the model
    stays the same on other data."""
    if last is None:
        return True
    compared = ("model", "data") if row["outcome"] == UNCHANGED else set(COLUMNS) - {"time"}
    return any(row.get(name, "") != last.get(name, "") for name in compared)
