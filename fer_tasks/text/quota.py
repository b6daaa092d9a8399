"""Keep the quota of a service that counts calls, by a ledger on disk that all runs and processes share.

The ledger has pyrate-limiter's sliding windows in SQLite: no period of 86,400 s contains more calls than the
daily quota, whatever time zone the service counts in.
"""

import sqlite3
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from pyrate_limiter import Rate, RateItem, SQLiteBucket

from fer_tasks.errors import UserError

SECOND, DAY, MONTH = 1_000, 86_400_000, 31 * 86_400_000  # ms
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Quota(NamedTuple):
    """Calls that a service allows in any second, day (86,400 s) and month (31 days)."""

    per_second: int
    per_day: int
    per_month: int


class QuotaSpent(UserError):
    """The quota is spent, and waiting would take too long.

    `again`: when the next call is possible, UTC; None if the service itself reported it.
    """

    def __init__(self, message: str, again: datetime | None = None):
        super().__init__(message)
        self.again = again


class Clocks(NamedTuple):
    """The clocks of a machine."""

    wall: Callable[[], float]  # seconds since 1970; people and NTP adjust it
    since_boot: Callable[[], float]  # seconds since this boot; never adjusted
    boot: Callable[[], str]  # an id of this boot; "" if the system has none


def system_clocks() -> Clocks:
    """This machine's clocks."""
    return Clocks(time.time, _since_boot, lambda: BOOT_ID.read_text().strip() if BOOT_ID.exists() else "")


def _since_boot() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def _binding(quota: Quota) -> list[Rate]:
    """The limits that can be reached, from short to long; at 500 calls a day, 25,000 a month cannot be.

    The limiter rejects limits that cannot be reached.
    """
    rates: list[Rate] = []
    for rate in (Rate(n, ms) for n, ms in zip(quota, (SECOND, DAY, MONTH), strict=True)):
        rates = [shorter for shorter in rates if shorter.limit < rate.limit]
        if not rates or rate.limit * rates[-1].interval < rates[-1].limit * rate.interval:
            rates.append(rate)
    return rates


class Ledger:
    """The calls made so far. A call is recorded before it is made, so a crash loses none.

    Raises:
        UserError: the file is damaged.
    """

    def __init__(self, path: Path, quota: Quota, clocks: Clocks):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._bucket = SQLiteBucket.init_from_file(
                _binding(quota), "calls", str(path), use_file_lock=True
            )
        except sqlite3.DatabaseError as error:
            raise UserError(
                f"{path}, which counts the calls of OCR.space, cannot be read ({error}); move it away: calls "
                "are then counted from zero"
            ) from None
        self._clocks = clocks

    def wait_ms(self) -> int:
        """Record a call and return 0; if none is possible yet, return the time until then, at least 1 ms."""
        with self._bucket.lock:
            now = self._now()
            item = RateItem(self._stamp(), now)
            if self._bucket.put(item):
                self._bucket.leak(now)
                return 0
            return max(1, int(self._bucket.waiting(item)))

    def take(self, patience_s: float, sleep: Callable[[float], None] = time.sleep) -> None:
        """Wait at most `patience_s` seconds until a call is possible, and record it.

        Raises:
            QuotaSpent: it would take longer.
        """
        while wait := self.wait_ms():
            if wait > 1000 * patience_s:
                again = datetime.fromtimestamp(self._clocks.wall() + wait / 1000, UTC)
                raise QuotaSpent("the quota is spent", again + timedelta(minutes=1))
            sleep(wait / 1000)

    def close(self) -> None:
        self._bucket.close()

    def _stamp(self) -> str:
        return f"{self._clocks.boot()} {self._clocks.since_boot()!r} {self._clocks.wall()!r}"

    def _now(self) -> int:
        """The ledger's own time in ms: it never runs backwards, and setting the clock does not change it.

        It is the time of the last call plus the seconds that have passed: by the time since boot or, after a
        reboot, by the wall clock, which alone shows how long the machine was off.
        """
        last = self._bucket.peek(0)
        if last is None:
            return int(1000 * self._clocks.wall())
        boot, since_boot, wall = last.name.split(" ")
        same_boot = boot and boot == self._clocks.boot()
        passed = (
            self._clocks.since_boot() - float(since_boot) if same_boot else self._clocks.wall() - float(wall)
        )
        return last.timestamp + int(1000 * max(passed, 0.0))
