"""What happens to a scheduled project, told line by line with the clock while one waits for something."""

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound

from benchmarks.lib.scheduled import Place, api, begun
from flows.event_names import CHANGED
from testing.git_repository import git
from testing.webhook import Webhook

PATIENCE = 45 * 60  # seconds for anything that has to happen
LOOKS_EVERY = 1.0  # seconds
REBUILD = "rebuild/rebuild"


@dataclass
class Diary:
    """Tells each event once."""

    place: Place
    hook: Webhook
    told: set[str] = field(default_factory=set)

    def say(self, line: str) -> None:
        sys.stdout.write(f"{datetime.now():%H:%M:%S}  {line}\n")
        sys.stdout.flush()

    def until(self, what: Callable[[], Any], waiting_for: str) -> Any:
        """Wait until something is true, and return it; tell what happens meanwhile."""
        deadline = time.monotonic() + PATIENCE
        while True:
            self.look()
            with suppress(httpx.HTTPError, ObjectNotFound):
                if found := what():
                    return found
            if time.monotonic() > deadline:
                raise SystemExit(f"not within {PATIENCE / 60:g} minutes: {waiting_for}")
            time.sleep(LOOKS_EVERY)

    def look(self) -> None:
        """Tell what is new."""
        with suppress(httpx.HTTPError, ObjectNotFound), api(self.place) as client:
            for event in changes_told(client):
                self._once(event["id"], f"watch tells: {' and '.join(event['payload'].get('changed', []))}")
            for build in begun(client, REBUILD):
                self._once(f"{build.id} begins", f"a build begins, {started_by(build)}")
                if build.state.is_final():
                    self._once(f"{build.id} ends", f"it ends: {_how(build)}")
        for line in git("log", "--reverse", "--format=%h %s", "--all", folder=self.place.origin).splitlines():
            self._once(line, f"origin has {line}")
        for number, message in enumerate([*self.hook.messages]):
            first = message.text.splitlines()[0]
            self._once(f"message {number}", f"people are told: {message.title.partition(': ')[2]}: {first}")

    def _once(self, key: str, line: str) -> None:
        if key not in self.told:
            self.told.add(key)
            self.say(line)


def changes_told(client: Any) -> list[dict[str, Any]]:
    """The events of a change, oldest first."""
    wanted = {"filter": {"event": {"name": [CHANGED]}, "order": "ASC"}, "limit": 50}
    return client.request("POST", "/events/filter", json=wanted).json()["events"]


def started_by(build: FlowRun) -> str:
    return "started by the change" if build.created_by.type == "AUTOMATION" else "as every night"


def _how(build: FlowRun) -> str:
    state = build.state
    took = f"{(build.end_time - build.start_time).total_seconds():.0f} s" if build.end_time else ""
    words = f": {state.message}" if state.message and not state.is_completed() else ""
    return f"{state.name}{words} ({took})"
