"""What a scheduled project costs while nothing changes: CPU of a night, what polls leave in the database."""

import time
from datetime import UTC, datetime
from functools import partial

import psutil
from prefect.client.schemas.objects import FlowRun

from benchmarks.lib.diary import REBUILD, Diary
from benchmarks.lib.scheduled import (
    Place,
    api,
    at_work,
    begun,
    cpu_seconds,
    database_bytes,
    own_server,
    paused,
)

WATCH = "watch/watch"
POLLS = 8


def night_without_change(diary: Diary, worker: int) -> dict[str, float]:
    """CPU seconds of a scheduled build that finds nothing to do, while no poll runs. `worker`: its pid."""
    place = diary.place
    diary.say("no polls for a while: what does a night cost in which nothing changes?")
    with paused(place, WATCH):
        diary.until(lambda: not _at_work(place, WATCH, REBUILD), "silence")
        measured = (psutil.Process(worker), own_server(place))
        diary.until(partial(_since, place, REBUILD, datetime.now(UTC)), "a night")
        before = [cpu_seconds(process) for process in measured]  # what has begun counts when it has ended
        diary.until(lambda: not _at_work(place, REBUILD), "its end")
        time.sleep(3)  # until the worker has waited for its processes
        spent = [cpu_seconds(process) - old for process, old in zip(measured, before, strict=True)]
    return {"worker_cpu_s": round(spent[0], 1), "server_cpu_s": round(spent[1], 1)}


def polls_in_the_database(diary: Diary) -> dict[str, float]:
    """How much Prefect's database grows by polls, while no build runs."""
    place = diary.place
    diary.say(f"no nights for a while: what do {POLLS} polls leave in the database?")
    with paused(place, REBUILD):
        diary.until(lambda: not _at_work(place, WATCH, REBUILD), "silence")
        since, before = datetime.now(UTC), database_bytes(place)

        def enough() -> list[FlowRun]:
            polls = _since(place, WATCH, since)
            return polls if len(polls) >= POLLS and not _at_work(place, WATCH) else []

        polls = len(diary.until(enough, f"{POLLS} polls"))
        grown = database_bytes(place) - before
    return {"polls": polls, "kb_a_poll": round(grown / polls / 1000, 1)}


def _since(place: Place, deployment: str, since: datetime) -> list[FlowRun]:
    """Scheduled runs that have begun."""
    with api(place) as client:
        return [run for run in begun(client, deployment) if run.start_time > since and run.auto_scheduled]


def _at_work(place: Place, *deployments: str) -> list[FlowRun]:
    with api(place) as client:
        return at_work(client, *deployments)
