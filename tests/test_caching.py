"""A result is reused for equal arguments and unchanged code, for nothing else; what needs others waits."""

import importlib
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import pytest
from prefect import flow, task

from flows.engine import memo_map, worker_pool
from flows.engine.code import digest
from flows.engine.in_order import in_order
from flows.engine.memo_map import RESULTS, map_items

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect")]

HELPER = """
CALLS = []

def note(items):
    CALLS.append(items)

def add(items):
    note(items)
    return deeper(items)

def deeper(items):
    return 12 // sum(items)
"""
TASKS = """
from prefect import task
import helper
from flows.engine.caching import same_inputs_and_code
from flows.engine.memo_map import shard_task

@shard_task
def total(shard, factor):
    return {name: helper.add(items) * factor for name, items in shard.items()}

@task(cache_policy=same_inputs_and_code(but=["told"]), persist_result=True)
def once(x, told):
    return helper.add([x])
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a module of tasks and their helper."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # of a change in the same second it would hide
    (tmp_path / "tasks.py").write_text(TASKS)
    (tmp_path / "helper.py").write_text(HELPER)
    return tmp_path


def load() -> ModuleType:
    """The tasks, as a new process would read them; `.calls` are of the helper."""
    for name in ("tasks", "helper"):
        sys.modules.pop(name, None)
    digest._code.cache_clear()
    digest._digest.cache_clear()
    importlib.invalidate_caches()
    tasks = importlib.import_module("tasks")
    tasks.calls = tasks.helper.CALLS
    return tasks


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def run(tasks: ModuleType, items: dict[str, list[int]], **same: int | bool) -> dict[str, int]:
    @flow(name="adding")
    def adding() -> list[tuple[str, int]]:
        return list(map_items(tasks.total, items, **same))

    results = adding()
    assert [name for name, _ in results] == list(items)
    return dict(results)


def test_only_what_changed_is_computed_again(here):
    tasks = load()
    assert run(tasks, {"a": [1, 2], "b": [3]}, factor=10) == {"a": 40, "b": 40}
    assert sorted(tasks.calls) == [[1, 2], [3]]

    run(tasks, {"b": [3], "a": [1, 2]}, factor=10)
    assert len(tasks.calls) == 2, "equal items, same code: nothing again, whatever the order"

    assert run(tasks, {"a": [1, 2], "b": [3, 3], "c": [4]}, factor=10) == {"a": 40, "b": 20, "c": 30}
    assert tasks.calls[2:] == [[3, 3], [4]], "a value changed and one new: these two"

    run(tasks, {"a": [1, 2], "b": [3]}, factor=11)
    assert len(tasks.calls) == 6, "another setting: all again"
    run(tasks, {"a": [1, 2], "b": [3]}, factor=10)
    assert len(tasks.calls) == 6, "and back again: nothing"

    change(here / "helper.py", "def add(items):", 'def add(items):\n    """Add, and divide."""')
    change(here / "tasks.py", "@shard_task", "@shard_task  # many at a time")
    tasks = load()
    run(tasks, {"a": [1, 2], "b": [3]}, factor=10)
    assert tasks.calls == [], "words: nothing again"

    change(here / "helper.py", "12 // sum(items)", "24 // sum(items)")
    tasks = load()
    assert run(tasks, {"a": [1, 2], "b": [3]}, factor=10) == {"a": 80, "b": 80}
    assert len(tasks.calls) == 2, "a changed helper of a helper: all again"
    assert len([*(here / RESULTS / "adding" / "total").iterdir()]) == 1, "what no code can use has gone"


def test_what_is_quick_is_not_kept(here):
    tasks = load()
    for _ in range(2):
        assert run(tasks, {"a": [1, 2]}, factor=10, remember=False) == {"a": 40}
    assert len(tasks.calls) == 2
    run(tasks, {"a": [1, 2]}, factor=10)
    assert len(tasks.calls) == 3


def test_what_was_computed_before_a_failure_is_kept(here):
    tasks = load()
    items = {f"{i:03}": [1] for i in range(memo_map.SHARD * memo_map.AHEAD * worker_pool.WORKERS * 2)}
    with pytest.raises(ZeroDivisionError):
        run(tasks, {**items, "zero": [0]}, factor=1)
    tasks.calls.clear()
    run(tasks, items, factor=1)
    assert len(tasks.calls) < len(items), "the shards that had come were kept"


def test_a_damaged_cache_costs_a_warning_and_the_computing(here, caplog):
    tasks = load()
    items = {f"{i:03}": [i + 1] for i in range(300)}
    wanted = run(tasks, items, factor=1)
    (database,) = (here / RESULTS / "adding" / "total").glob("*/cache.db")
    database.write_bytes(database.read_bytes()[:-8192])  # its last pages hold values, the first what there is
    database.with_name("cache.db-wal").unlink(missing_ok=True)
    assert run(tasks, items, factor=1) == wanted
    said = [line for line in caplog.messages if "is damaged" in line]
    assert len(said) == 1 and str(database.parent.relative_to(here)) in said[0]
    caplog.clear()
    tasks.calls.clear()
    assert run(tasks, items, factor=1) == wanted and tasks.calls == []
    assert not [line for line in caplog.messages if "damaged" in line]


def test_a_full_disk_under_the_cache_costs_a_warning_and_not_the_results(here, small_disk, caplog):
    (here / RESULTS).parent.mkdir(parents=True)
    (here / RESULTS).symlink_to(small_disk)
    (small_disk / "full").write_bytes(b"\0" * 120 * 1024)
    tasks = load()
    assert run(tasks, {"a": [1, 2], "b": [3]}, factor=10) == {"a": 40, "b": 40}
    said = [line for line in caplog.messages if "no room in" in line]
    assert len(said) == 1 and "bytes are free" in said[0]


def test_other_processes_compute_at_most_one_a_core_whatever_thread_asks():
    worker_pool.prepare_workers(8)
    with ThreadPoolExecutor(4) as threads:
        used = set(threads.map(worker_pool.call_in_worker, [os.getpid] * 16))
    assert os.getpid() not in used and 1 <= len(used) <= worker_pool.WORKERS
    assert set(worker_pool.map_in_workers(pow, [2, 3], [2, 2])) == {4, 9}


def test_a_task_as_a_whole_is_reused_for_equal_arguments_and_code(here):
    def runs(tasks: ModuleType, *xs: int) -> list[int]:
        @flow(name="once")
        def of_all() -> list[int]:
            return [tasks.once(x, told=told) for told, x in enumerate(xs)]

        return of_all()

    tasks = load()
    assert runs(tasks, 3, 3, 4) == [4, 4, 3]
    assert tasks.calls == [[3], [4]]
    change(here / "helper.py", "def add(items):", 'def add(items):\n    """Add, and divide."""')
    tasks = load()
    assert runs(tasks, 3, 4) == [4, 3] and tasks.calls == []
    change(here / "helper.py", "12 // sum(items)", "24 // sum(items)")
    tasks = load()
    assert runs(tasks, 3, 4) == [8, 6] and tasks.calls == [[3], [4]]


def test_what_needs_others_waits_for_them_and_for_nothing_else():
    taught = threading.Event()
    ended: list[str] = []

    @task
    def work(name: str) -> str:
        if name == "student":
            assert "teacher" in ended
        if name == "long":
            assert taught.wait(60), "the student must not wait for it"
        return name

    @flow(name="ordering")
    def ordering() -> None:
        needs = {"long": set(), "known": set(), "teacher": {"known"}, "student": {"teacher"}, "all": {"long"}}
        for name, future in in_order(needs, lambda name: None if name == "known" else work.submit(name)):
            assert future.result() == name
            ended.append(name)
            if name == "student":
                taught.set()

    ordering()
    assert ended.index("teacher") < ended.index("student") < ended.index("long") < ended.index("all")
