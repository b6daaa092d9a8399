"""A result is reused for equal arguments and unchanged code, for nothing else; what needs others waits."""

import importlib.util
import os
import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest
from prefect import flow, task

from flows import fan_out
from flows.caching import same_inputs_and_code
from flows.fan_out import in_order, map_items

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect")]


def load(path: Path, code: str) -> ModuleType:
    path.write_text(code)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules.pop(path.stem, None)
    spec.loader.exec_module(module)
    return module


@fan_out.shard_task
def total(shard: dict[str, list[int]], factor: int) -> dict[str, int]:
    return {name: MODULE[0].add(items) * factor for name, items in shard.items()}


MODULE: list[ModuleType] = []


def run(module: ModuleType, items: dict[str, list[int]], **same: int) -> dict[str, int]:
    MODULE[:] = [module]

    @flow(name="adding")
    def adding() -> list[tuple[str, int]]:
        return list(map_items(total, items, [module], **same))

    results = adding()
    assert [name for name, _ in results] == list(items)
    return dict(results)


def test_only_what_changed_is_computed_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = "CALLS = []\n\ndef add(items):\n    CALLS.append(items)\n    return sum(items)\n"
    module = load(tmp_path / "helper.py", code)
    assert run(module, {"a": [1, 2], "b": [3]}, factor=10) == {"a": 30, "b": 30}
    assert sorted(module.CALLS) == [[1, 2], [3]]

    run(module, {"b": [3], "a": [1, 2]}, factor=10)
    assert len(module.CALLS) == 2, "equal items, same code: nothing again, whatever the order"

    assert run(module, {"a": [1, 2], "b": [3, 4], "c": [5]}, factor=10) == {"a": 30, "b": 70, "c": 50}
    assert module.CALLS[2:] == [[3, 4], [5]], "a value changed and one new: these two"

    run(module, {"a": [1, 2], "b": [3]}, factor=11)
    assert len(module.CALLS) == 6, "another setting: all again"

    changed = load(tmp_path / "helper.py", code.replace("sum(items)", "sum(items) + 1"))
    assert run(changed, {"a": [1, 2], "b": [3]}, factor=10) == {"a": 40, "b": 40}
    assert len(changed.CALLS) == 2, "a changed helper: all again"


def test_what_was_computed_before_a_failure_is_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = "CALLS = []\n\ndef add(items):\n    CALLS.append(items)\n    return 1 // items[0]\n"
    module = load(tmp_path / "helper.py", code)
    items = {f"{i:03}": [1] for i in range(fan_out.SHARD * fan_out.AHEAD * 2)}
    with pytest.raises(ZeroDivisionError):
        run(module, {**items, "zero": [0]}, factor=1)
    module.CALLS.clear()
    run(module, items, factor=1)
    assert len(module.CALLS) < len(items), "the shards that had come were kept"


def test_another_process_computes(tmp_path):
    assert fan_out.in_process(os.getpid) != os.getpid()


def test_a_task_as_a_whole_is_reused_for_equal_arguments_and_code(tmp_path):
    module = load(
        tmp_path / "helper.py", "CALLS = []\n\ndef twice(x):\n    CALLS.append(x)\n    return 2 * x\n"
    )

    @task(cache_policy=same_inputs_and_code(module), persist_result=True)
    def double(x: int) -> int:
        return module.twice(x)

    @flow(name="doubling")
    def doubling(x: int) -> int:
        return double(x)

    assert [doubling(3), doubling(3), doubling(4)] == [6, 6, 8]
    assert module.CALLS == [3, 4]


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
