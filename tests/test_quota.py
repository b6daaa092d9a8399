"""The ledger of calls: never more than the quota, through crashes, reboots and whatever the clock does."""

import bisect
import tempfile
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_tasks.errors import UserError
from fer_tasks.text.quota import Clocks, Ledger, Quota, QuotaSpent, system_clocks

DAY_S, MONTH_S = 86_400, 31 * 86_400
QUOTA = Quota(per_second=2, per_day=5, per_month=12)
START = 1_795_000_000.0  # a day in November 2026, some hours before midnight


class World:
    """True time, which only passes, and clocks that show something else."""

    def __init__(self) -> None:
        self.now, self.booted, self.boots = START, START - 1000, 0
        self.wall_ahead = self.ahead_at_last_call = 0.0
        self.boot_of_last_call = 0

    def clocks(self) -> Clocks:
        return Clocks(
            lambda: self.now + self.wall_ahead, lambda: self.now - self.booted, lambda: f"boot-{self.boots}"
        )

    def called(self) -> None:
        self.ahead_at_last_call, self.boot_of_last_call = self.wall_ahead, self.boots

    def set_the_clock(self, seconds: float) -> None:
        self.wall_ahead += seconds
        self._be_right_after_a_reboot()

    def reboot(self) -> None:
        self.booted, self.boots = self.now, self.boots + 1
        self._be_right_after_a_reboot()

    def _be_right_after_a_reboot(self) -> None:
        """Until the first call after it only the wall clock tells how long a reboot took: it may go back, but
        not ahead."""
        if self.boots != self.boot_of_last_call:
            self.wall_ahead = min(self.wall_ahead, self.ahead_at_last_call)

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def most_in(moments: list[float], seconds: float) -> int:
    """The most moments in any window of so many seconds."""
    return max((bisect.bisect_left(moments, at + seconds) - i for i, at in enumerate(moments)), default=0)


STEPS = st.one_of(
    st.tuples(st.just("call"), st.integers(1, 8)),
    st.tuples(st.just("pass"), st.sampled_from([0.1, 0.5, 1, 60, 3600, 20_000, DAY_S, 11 * DAY_S])),
    st.tuples(st.just("set the clock"), st.sampled_from([-DAY_S, -7200, -1, 1, 7200, DAY_S, 40 * DAY_S])),
    st.tuples(st.just("crash"), st.none()),
    st.tuples(st.just("reboot"), st.none()),
)


@pytest.mark.slow
@given(st.lists(STEPS, max_size=40))
@settings(max_examples=300, deadline=None)
def test_no_window_holds_more_calls_than_the_quota(steps):
    world, made = World(), []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "ledger.sqlite")
        ledger = Ledger(path, QUOTA, world.clocks())
        for step, n in steps:
            if step == "call":
                for _ in range(n):
                    if not ledger.wait_ms():
                        made.append(world.now)
                        world.called()
            elif step == "pass":
                world.sleep(n)
            elif step == "set the clock":
                world.set_the_clock(n)
            elif step == "crash":  # nothing is closed: what was written down is all that is left
                ledger = Ledger(path, QUOTA, world.clocks())
            else:
                world.reboot()
                ledger = Ledger(path, QUOTA, world.clocks())
    assert most_in(made, 1) <= QUOTA.per_second
    assert most_in(made, DAY_S) <= QUOTA.per_day
    assert most_in(made, MONTH_S) <= QUOTA.per_month


def test_what_is_left_can_be_had_and_no_more(tmp_path):
    world = World()
    ledger = Ledger(tmp_path / "ledger.sqlite", QUOTA, world.clocks())
    for _ in range(QUOTA.per_day):
        ledger.take(10, world.sleep)
    assert 2 <= world.now - START < 3, "two a second"
    with pytest.raises(QuotaSpent, match="the quota is spent") as caught:
        ledger.take(10, world.sleep)
    frees = datetime.fromtimestamp(START + DAY_S, UTC)
    assert frees < caught.value.again <= frees + timedelta(minutes=2)
    world.now = caught.value.again.timestamp()
    ledger.take(0, world.sleep)


def test_a_run_that_may_wait_goes_on_by_itself(tmp_path):
    world = World()
    ledger = Ledger(tmp_path / "ledger.sqlite", QUOTA, world.clocks())
    for _ in range(2 * QUOTA.per_day):
        ledger.take(DAY_S + 1, world.sleep)
    assert DAY_S <= world.now - START < DAY_S + 10


def test_a_damaged_ledger_is_one_line_that_names_it(tmp_path):
    (tmp_path / "ledger.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(UserError, match=r"ledger\.sqlite.*move it away"):
        Ledger(tmp_path / "ledger.sqlite", QUOTA, system_clocks())


def test_midnight_frees_nothing(tmp_path):
    world = World()
    world.now = datetime(2026, 11, 24, 23, 59, 50, tzinfo=UTC).timestamp()
    ledger = Ledger(tmp_path / "ledger.sqlite", QUOTA, world.clocks())
    for _ in range(QUOTA.per_day):
        ledger.take(2, world.sleep)
    world.now += 60
    assert ledger.wait_ms() > 86_000_000


def _take_all(path: Path) -> int:
    ledger = Ledger(path, Quota(1000, 30, 1000), system_clocks())
    return sum(not ledger.wait_ms() for _ in range(20))


def test_processes_share_it(tmp_path):
    with get_context("spawn").Pool(3) as pool:
        assert sum(pool.map(_take_all, [tmp_path / "ledger.sqlite"] * 3)) == 30
