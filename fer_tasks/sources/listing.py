"""The content of a source as tables: its pictures, the rejected files, and warnings."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from fer_tasks.labels import EXPRESSIONS
from fer_tasks.sources.names import counted
from fer_tasks.sources.verdict import Verdict

CLASSES = f"the classes are {', '.join(EXPRESSIONS)}, or their other names"
NUMBERS = "rename numbers to expressions. RAF-DB: 1 surprise, 2 fear, 3 disgust, 4 happy, 5 sad, 6 angry, "
NUMBERS += "7 neutral. AffectNet: 0 neutral, 1 happy, 2 sad, 3 surprise, 4 fear, 5 disgust, 6 angry"
NUMBERED = r"(?:folder|label) '\d+'"  # the detail of a file whose class is a number begins so
COLUMNS = ["source", "path", "label", "source_split"]
WARNED_OF = ["unknown_class", "unknown_split", "unreadable"]  # reasons with a warning for each detail
ONE_LINE = ["link_not_followed", "file_not_found"]  # reasons with one warning: each file's detail differs


class Listing(NamedTuple):
    """The content of a source; every file is in one of the tables."""

    # source (path as the user knows it), path (to read it), label, source_split, and group_… where there are
    pictures: pd.DataFrame
    rejected: pd.DataFrame  # source, reason, detail
    notes: tuple[str, ...] = ()  # further warnings

    @property
    def warnings(self) -> list[str]:
        """What the user should know before the pictures are used, a line each."""
        absent = [name for name in EXPRESSIONS if name not in set(self.pictures["label"])]
        warnings = [f"the source has no picture of {name}; the models will not know it" for name in absent]
        unsplit = int((self.pictures["source_split"] == "").sum())
        if 0 < unsplit < len(self.pictures):
            be, they = ("is", "it counts") if unsplit == 1 else ("are", "they count")
            warnings.append(
                f"{counted(unsplit, 'picture')} {be} in no split while others are; {they} as train"
            )
        named = self.rejected[self.rejected["reason"].isin(WARNED_OF)]["detail"]
        details = named.str.replace(r"^row \d+: ", "", regex=True)
        warnings += [
            f"{counted(n, 'file')} rejected: {detail}" for detail, n in details.value_counts().items()
        ]
        for _, alike in self.rejected[self.rejected["reason"].isin(ONE_LINE)].groupby("reason"):
            first = f"{alike['source'].iloc[0]}: {alike['detail'].iloc[0]}"
            warnings.append(f"{counted(len(alike), 'file')} rejected, such as {first}")
        numbers = [NUMBERS] if details.str.match(NUMBERED).any() else []
        return [*warnings, *numbers, *self.notes]


def as_listing(
    files: Iterable[tuple[str, Path, Verdict]],
    notes: Iterable[str],
    groups: Sequence[Mapping[str, str]] = (),
) -> Listing:
    """Make a listing of files: of each the name that the user knows, its path and its verdict.

    `groups`: of each file the values of its columns `group_…`; empty if the source has none.
    """
    rows = pd.DataFrame(
        [(name, str(path), *verdict) for name, path, verdict in files],
        columns=[*COLUMNS, "reason", "detail"],
    )
    rows = rows.join(pd.DataFrame(groups)).sort_values("source", ignore_index=True, kind="stable")
    pictures = rows[rows["reason"] == ""].drop(columns=["reason", "detail"])
    rejected = rows[rows["reason"] != ""][["source", "reason", "detail"]]
    return Listing(pictures, rejected, tuple(notes))


def together(one: Listing, other: Listing) -> Listing:
    """Join two listings of one source."""
    return Listing(
        pd.concat([one.pictures, other.pictures], ignore_index=True),
        pd.concat([one.rejected, other.rejected], ignore_index=True),
        tuple(dict.fromkeys(one.notes + other.notes)),
    )
