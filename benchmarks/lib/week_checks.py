"""What has to be true of a project after its week: versions, ledger, champion, notifications, silence."""

import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.lib.scheduled import AUTHOR, Place, branch
from benchmarks.lib.week_days import Day
from fer_tasks.storage.ledger import LEDGER, PROMOTED, UNCHANGED, Row, parse_ledger
from fer_tasks.storage.model_folder import read_model_folder
from flows.gate import model_name
from testing.git_repository import git
from testing.project_copy import environment
from testing.webhook import Message

BAD_END = "a build did not succeed"


class Check(NamedTuple):
    """Something that has to be true, whether it is, and what was found."""

    what: str
    holds: bool
    found: str


def commits(place: Place) -> list[str]:
    """The nightly commits of `origin`, oldest first."""
    listed = git("log", "--reverse", "--format=%H %an <%ae>", branch(place.project), folder=place.origin)
    return [line.partition(" ")[0] for line in listed.splitlines() if line.endswith(AUTHOR)]


def ledger(place: Place, commit: str) -> list[Row]:
    return parse_ledger(git("show", f"{commit}:{LEDGER}", folder=place.origin) + "\n")


def check_week(place: Place, days: Sequence[Day], messages: Sequence[Message]) -> list[Check]:
    """The checks, while everything still runs."""
    made = commits(place)
    rows = ledger(place, made[-1]) if made else []
    missing = _missing_data(place)
    status = git("status", "--porcelain", folder=place.project)
    return [
        Check("a version each change, pushed", _pushed(place, made, len(days)), f"{len(made)} commits"),
        Check("a row of the ledger each, in its own commit", _full(place, made, rows), f"{len(rows)} rows"),
        Check("the gate said what the data were", *_judged(days, rows)),
        Check("the champion is the last model that was promoted", *_champion(place, made, rows)),
        Check("the data of every version are in the remote", not missing, missing or "all"),
        Check("the reviewers' file is theirs to commit", status == "M review/decisions.csv", status),
        Check("people heard what was due and nothing else", *_heard(days, rows, messages)),
    ]


def due(days: Sequence[Day], rows: Sequence[Row]) -> list[tuple[str, str]]:
    """The notifications of a week: title, and how the text begins."""
    told = [("a build did not succeed", "Crashed") for day in days if day.fault]
    for row in rows:
        if row["decision"] == PROMOTED:
            told.append(("a model was promoted", f"{row['version']} takes over: {row['reason']}"))
        elif row["outcome"] != UNCHANGED:
            champion = row["champion"] or "no model"
            told.append(("a model was refused", f"{champion} stays released: {row['reason']}"))
    return told


def _pushed(place: Place, made: Sequence[str], days: int) -> bool:
    pushed = git("rev-parse", branch(place.project), folder=place.origin)
    return pushed == git("rev-parse", "HEAD", folder=place.project) and len(made) == days


def _full(place: Place, made: Sequence[str], rows: Sequence[Row]) -> bool:
    return [ledger(place, commit) for commit in made] == [[*rows[:n]] for n in range(1, len(rows) + 1)]


def _judged(days: Sequence[Day], rows: Sequence[Row]) -> tuple[bool, str]:
    wrong = [
        f"day {n}: {row['outcome']}"
        for n, (day, row) in enumerate(zip(days, rows, strict=False), 1)
        if day.promoted not in (None, row["decision"] == PROMOTED)
    ]
    return not wrong and len(rows) == len(days), ", ".join(wrong or [row["outcome"] for row in rows])


def _champion(place: Place, made: Sequence[str], rows: Sequence[Row]) -> tuple[bool, str]:
    """The released folder as another machine gets it, beside the ledger and the tags."""
    last = max((n for n, row in enumerate(rows) if row["decision"] == PROMOTED), default=None)
    if last is None:
        return False, "none was promoted"
    version, out = rows[last]["version"], place.root / "got"
    command = [sys.executable, "-m", "dvc", "artifacts", "get", str(place.origin), "best", "--stage", "prod"]
    done = subprocess.run(
        [*command, "--out", str(out)],
        cwd=place.root,
        env=environment(place.project),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        return False, done.stderr.strip().splitlines()[-1]
    name = model_name(read_model_folder(out).info)
    tagged = git("rev-parse", f"best@{version}^{{commit}}", folder=place.origin)
    right = name == rows[last]["model"] and tagged == made[last]
    return right, f"{version} of day {last + 1}, {name}"


def _missing_data(place: Place) -> str:
    """What DVC says of versions whose data the remote has not; "" if it has all."""
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "status", "--cloud", "--all-commits"],
        cwd=place.project,
        env=environment(place.project),
        capture_output=True,
        text=True,
    )
    return "" if "in sync" in done.stdout else (done.stdout + done.stderr).strip()[-500:]


def _heard(days: Sequence[Day], rows: Sequence[Row], messages: Sequence[Message]) -> tuple[bool, str]:
    open_, surplus = due(days, rows), []
    for message in dict.fromkeys(messages):  # Prefect tells at least once
        about = message.title.removeprefix("Monday FER: ")
        match = next((one for one in open_ if one[0] == about and message.text.startswith(one[1])), None)
        if match:
            open_.remove(match)
        else:
            surplus.append(f"not due: {about}: {message.text.splitlines()[0]}")
    twice = len(messages) - len(set(messages))
    counted = [f"{n} x {about}" for about, n in Counter(message.title for message in messages).items()]
    wrong = [*(f"missing: {about}: {begins}" for about, begins in open_), *surplus]
    return not wrong, "; ".join(wrong or [*counted, f"{twice} of them twice"])
