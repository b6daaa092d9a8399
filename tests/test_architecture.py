"""The rules of the house: who may import whom, one word a stage in four places, complete `deps`."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
SHARED = {"labels", "errors", "network"}  # what every module of fer_tasks may import
STORAGE = {("cells", "dataset")}  # one writes its files the way the other does
OUTER = {"prefect", "dvc", "dvclive", "flows"}
FLOW_HELPERS = {
    "caching",
    "fan_out",
    "grid",
    "measure",
    "ocr_space",
    "people",
    "quiet_tensorflow",
    "retries",
    "stage",
    "server",
    "source",
    "transform",
}
BESIDE = {"ablation"}  # flows with a section of params.yaml that are no stage of the line
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
MODULES = sorted((ROOT / "fer_tasks").rglob("*.py"))
APPS = sorted((ROOT / "apps").rglob("*.py"))
FLOWS = sorted((ROOT / "flows").rglob("*.py"))
DISK = {"dataset", "cells", "checkpoints", "images", "settings", "shared_features", "sources", "text"}


def imports(path: Path) -> Iterator[str]:
    """Dotted names of the modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def capability(path: Path) -> str:
    return path.relative_to(ROOT / "fer_tasks").parts[0].removesuffix(".py")


def imported_capabilities(path: Path) -> set[str]:
    return {name.split(".")[1] for name in imports(path) if name.startswith("fer_tasks.")}


@pytest.mark.parametrize(
    "path", [p for p in MODULES if p.parent.name == "models"], ids=lambda path: path.stem
)
def test_a_model_takes_any_backend_of_keras(path):
    """TensorFlow is imported by functions at most, where it is the backend that is asked for."""
    top = [ast.unparse(node) for node in ast.parse(path.read_text()).body]
    assert not [line for line in top if re.match(r"(import|from) (tensorflow|jax|torch)\b", line)]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_capability_imports_no_other(path):
    own = capability(path)
    others = imported_capabilities(path) - SHARED - {own}
    assert {(own, other) for other in others} <= STORAGE


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_computed_knows_nothing_of_orchestration(path):
    assert not {name.split(".")[0] for name in imports(path)} & OUTER


@pytest.mark.parametrize("path", APPS, ids=lambda path: str(path.relative_to(ROOT)))
def test_an_app_knows_nothing_of_orchestration(path):
    assert not {name.split(".")[0] for name in imports(path)} & OUTER


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_storage_modules_touch_disk(path):
    if capability(path) in DISK:
        return
    code = path.read_text()
    calls = re.findall(r"\.(?:read_bytes|read_text|write_bytes|write_text|mkdir|rmtree)\(", code)
    assert not calls or "tempfile" in code or "importlib.resources" in code


@pytest.mark.parametrize("path", FLOWS, ids=lambda path: path.stem)
def test_a_flow_imports_no_other_flow(path):
    used = {name.split(".")[1] for name in imports(path) if name.startswith("flows.")}
    assert used <= FLOW_HELPERS


def test_one_word_a_stage_in_four_places():
    sections = set(yaml.safe_load((ROOT / "params.yaml").read_text()))
    for stage, wiring in STAGES.items():
        assert wiring["cmd"] == f"python -m flows.{stage}"
        assert any(entry.split(".")[0] == stage for entry in wiring["params"])
        assert f'name="{stage}"' in (ROOT / "flows" / f"{stage}.py").read_text()
    assert sections == set(STAGES) | BESIDE
    for name in BESIDE:
        assert f'name="{name}"' in (ROOT / "flows" / f"{name}.py").read_text()


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_all_the_code_it_runs(stage):
    needed = {f"flows/{stage}.py"} | {_as_dep(name) for name in _all_capabilities(stage) - {"settings"}}
    listed = {dep for dep in STAGES[stage]["deps"] if dep.startswith(("flows/", "fer_tasks/"))}
    assert needed <= listed
    assert all((ROOT / dep).exists() for dep in listed)


def _all_capabilities(stage: str) -> set[str]:
    flows = [ROOT / dep for dep in STAGES[stage]["deps"] if dep.startswith("flows/")]
    found, new = set(), set().union(*map(imported_capabilities, flows))
    while new:
        found |= new
        files = [path for path in MODULES if capability(path) in new]
        new = {name for path in files for name in imported_capabilities(path)} - found
    return found


def _as_dep(name: str) -> str:
    return f"fer_tasks/{name}" if (ROOT / "fer_tasks" / name).is_dir() else f"fer_tasks/{name}.py"
