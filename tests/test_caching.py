"""A task's result is reused for equal arguments and unchanged code, and for nothing else."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
from prefect import flow, task

from flows.caching import same_inputs_and_code
from flows.fan_out import map_shards

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect")]


def load(path: Path, code: str) -> ModuleType:
    path.write_text(code)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules.pop(path.stem, None)
    spec.loader.exec_module(module)
    return module


def run(module: ModuleType, shards: dict[str, list[int]], calls: list[str], **same: int) -> dict[str, int]:
    @task(cache_policy=same_inputs_and_code(module), persist_result=True)
    def total(shard: str, items: list[int], factor: int) -> int:
        return module.add(items) * factor

    @flow(name="adding")
    def adding() -> dict[str, int]:
        return {name: result for name, result in map_shards(total, shards, **same)}

    before = len(calls)
    module.CALLS = calls
    results = adding()
    assert len(calls) >= before
    return results


def test_only_what_changed_is_computed_again(tmp_path):
    code = "def add(items):\n    CALLS.append(items)\n    return sum(items)\n"
    calls: list = []
    shards = {"a": [1, 2], "b": [3]}
    module = load(tmp_path / "helper.py", code)
    assert run(module, shards, calls, factor=10) == {"a": 30, "b": 30}
    assert sorted(calls) == [[1, 2], [3]]

    run(module, shards, calls, factor=10)
    assert len(calls) == 2, "equal arguments, same code: nothing again"

    assert run(module, {"a": [1, 2], "b": [3, 4]}, calls, factor=10) == {"a": 30, "b": 70}
    assert calls[2:] == [[3, 4]], "one shard changed: one again"

    run(module, shards, calls, factor=11)
    assert len(calls) == 5, "another setting: all again"

    changed = load(tmp_path / "helper.py", code.replace("sum(items)", "sum(items) + 1"))
    assert run(changed, shards, calls, factor=10) == {"a": 40, "b": 40}
    assert len(calls) == 7, "a changed helper: all again"


def test_results_come_in_the_order_of_the_shards_and_all_of_them():
    @task(persist_result=False)
    def same(shard: str, items: list[int]) -> list[int]:
        return items

    @flow(name="ordering")
    def ordering() -> list[tuple[str, list[int]]]:
        return list(map_shards(same, {f"{i:02}": [i] for i in range(40)}))

    assert ordering() == [(f"{i:02}", [i]) for i in range(40)]
