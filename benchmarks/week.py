"""A week of `make schedule`, hurried: seven changes of the data, two of them for the worse, a build that is
killed and a reboot. A night comes every few minutes; all else is real: server, worker, watch, DVC, git, a
webhook, trained models.

python -m benchmarks.week PHOTOS        # photos in class folders, 60 or more of each expression

It ends with status 1 if one thing is not as it should be: versions, ledger, champion, what people were told,
what still runs.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from prefect.client.schemas.objects import FlowRun

from benchmarks.lib.diary import REBUILD, Diary, changes_told, started_by
from benchmarks.lib.scheduled import (
    Place,
    api,
    begin,
    begun,
    end,
    kill_all,
    kill_build,
    make_scheduled,
    stages,
)
from benchmarks.lib.week_checks import Check, check_week, commits, due, ledger
from benchmarks.lib.week_costs import night_without_change, polls_in_the_database
from benchmarks.lib.week_days import Day, seven_days
from flows.notifications import ADDRESS
from testing.webhook import webhook

CELL = {"id": "probe", "model": "transfer", "options": {"backbone": "pretrained", "dropout": 0.5}}
CELL |= {"recipe": "gray48", "learning_rate": 3.0e-3, "schedule": "cosine", "label_smoothing": 0.1}
CELL |= {"augmentation": "light", "views": 8, "epochs": 40, "batch_size": 32}
NIGHT_MINUTES = 5
WATCH_MINUTES = 0.5
KILLED_IN = "train"  # the stage in which a build is killed
LATE = 17 * 60  # seconds: after a restart Prefect may keep events back for a quarter of an hour
SURPLUS = 30  # seconds in which nothing more may be told


class Week:
    """The worker that runs now, and when it was started."""

    def __init__(self, diary: Diary):
        self.diary = diary
        self.start(**{ADDRESS: diary.hook.address})

    def start(self, **extra: str) -> None:
        self.diary.say("make schedule")
        self.worker = begin(self.diary.place, **extra)
        self.started = time.monotonic()

    def reboot(self) -> None:
        self.diary.say(f"REBOOT: SIGKILL to all {kill_all(self.diary.place)} processes")
        self.worker.wait()
        self.start()  # the address is on the server


def live(week: Week, number: int, day: Day) -> dict[str, Any]:
    """A day: the change, the fault, and the version that comes of it; returns its figures."""
    place, diary = week.diary.place, week.diary
    before, began = len(commits(place)), datetime.now(UTC)
    diary.say(f"DAY {number}: {day.what}")
    day.change()
    changed = datetime.now(UTC)
    if day.fault:
        build = diary.until(partial(_in_training, place, began), f"a build that runs {KILLED_IN}")
        if day.fault == "reboot":
            week.reboot()
        else:
            diary.say("CRASH: SIGKILL to the build")
            kill_build(build)
    diary.until(lambda: len(commits(place)) > before, "a version")
    build = diary.until(partial(_completed, place, began), "the end of its build")
    row = ledger(place, commits(place)[-1])[-1]
    return {"day": number, **_times(place, build, began, changed), "outcome": row["outcome"]} | {
        name: row[name] for name in ("version", "faces", "accuracy", "gain")
    }


def _in_training(place: Place, since: datetime) -> FlowRun | None:
    """A build that is in KILLED_IN."""
    with api(place) as client:
        for build in begun(client, REBUILD):
            if build.start_time > since and build.state.is_running():
                running = [stage.name for stage in stages(client, build) if stage.state.is_running()]
                return build if KILLED_IN in running else None
    return None


def _completed(place: Place, since: datetime) -> FlowRun | None:
    """The build that made the day's version: the first one that has completed."""
    with api(place) as client:
        builds = (build for build in begun(client, REBUILD) if build.start_time > since)
        return next((build for build in builds if build.state.is_completed()), None)


def _times(place: Place, build: FlowRun, began: datetime, changed: datetime) -> dict[str, Any]:
    """Seconds from the change to the event, to the build's start and to its end; those of its stages."""
    with api(place) as client:
        told = [datetime.fromisoformat(event["occurred"]) for event in changes_told(client)]
        work = sum(stage.total_run_time.total_seconds() for stage in stages(client, build))
    told_after = [round((when - changed).total_seconds()) for when in told if when > began]
    return {
        "by": started_by(build),
        "told_s": told_after[0] if told_after else None,
        "start_s": round((build.start_time - changed).total_seconds()),
        "end_s": round((build.end_time - changed).total_seconds()),
        "stages_s": round(work),
    }


def await_the_last_message(week: Week, days: list[Day]) -> None:
    """Wait until all that is due has been told, or is overdue, and whether more comes."""
    place, hook = week.diary.place, week.diary.hook
    awaited = len(due(days, ledger(place, commits(place)[-1])))
    overdue = week.started + LATE
    week.diary.until(
        lambda: len({*hook.messages}) >= awaited or time.monotonic() > overdue, "the last message"
    )
    quiet = time.monotonic() + SURPLUS
    week.diary.until(lambda: time.monotonic() > quiet, "silence")


def bench(diary: Diary, photos: Path) -> tuple[dict[str, Any], list[Check]]:
    days = seven_days(diary.place.project, photos)
    week = Week(diary)
    lived = [live(week, number, day) for number, day in enumerate(days, 1)]
    figures = {
        "days": lived,
        "night": night_without_change(diary, week.worker.pid),
        "database": polls_in_the_database(diary),
    }
    await_the_last_message(week, days)
    diary.say("what has become of it?")
    checks = check_week(diary.place, days, diary.hook.messages)
    diary.say("Ctrl-C, make stop")
    left = end(diary.place, week.worker)
    return figures, [*checks, Check("nothing is left running", not left, "; ".join(left) or "nothing")]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.week",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("photos", type=Path, help="photos in class folders")
    photos = parser.parse_args().photos.resolve()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to end"))
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="week-") as folder, webhook() as hook:
        place = make_scheduled(Path(folder).resolve(), NIGHT_MINUTES, WATCH_MINUTES, [CELL])
        try:
            figures, checks = bench(Diary(place, hook), photos)
        finally:
            kill_all(place)
    print(f"\n{pd.DataFrame(figures['days']).to_string(index=False)}\n")
    for check in checks:
        print(f"{'yes' if check.holds else 'NO':<5}{check.what}: {check.found}")
    figures["checks"] = {check.what: check.holds for check in checks}
    figures |= {"wall_s": round(time.monotonic() - began), "load_average": round(os.getloadavg()[0], 1)}
    print(json.dumps(figures))
    if not all(check.holds for check in checks):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
