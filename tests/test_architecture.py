"""The rules of the house: who may import whom, one word a stage in four places, complete `deps`."""

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from fer_tasks.settings import Cell, params, source
from flows.engine.code.digest import reached
from flows.engine.code.links import Links
from flows.engine.code.scopes import Use
from flows.grid import in_own_process
from flows.grid.entries import entries

ROOT = Path(__file__).parents[1]
SHARED = {"labels", "errors", "network"}  # what every module of fer_tasks may import
# What else may be imported: a plan is declared once, where params.yaml and grids/ are checked against it.
# The network that this program has is read by what knows a model's folder.
ALSO = {"training": {"fer_tasks.settings.training"}, "models": {"fer_tasks.storage.model_folder"}}
OUTER = {"prefect", "dvc", "dvclive", "flows"}
BESIDE = {"ablation"}  # flows with a section of params.yaml that are no stage of the line
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
FLOWS = {*STAGES, *BESIDE, "rebuild", "watch"}
# Of the packages of flows/, each imports those before it only: stages come last.
LAYERS = ("command", "server", "engine", "grid")
CODE = Links(ROOT)
# What decides when and where something is computed, and not what: a change there must not run all stages.
ORCHESTRATION = {"flows/command.py", "flows/grid/memory_budget.py"}
ORCHESTRATION |= {
    str(file.relative_to(ROOT))
    for package in ("engine", "server")
    for file in (ROOT / "flows" / package).rglob("*.py")
}
CHECKED_ONLY = {
    f"fer_tasks/settings/{name}.py" for name in ("__init__", "params", "section", "source", "yaml_file")
}
LEAST = {"learning_rate": 0.1, "epochs": 1, "batch_size": 1}
DISK = {"settings", "sources", "storage", "text", "video"}


def modules(package: str) -> dict[str, Path]:
    """The files of a package, by their paths from the project's root."""
    return {str(path.relative_to(ROOT)): path for path in sorted((ROOT / package).rglob("*.py"))}


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
    allowed = ALSO.get(capability(path), set())
    used = {name for name in imports(path) if name.startswith("fer_tasks.")}
    return {name.split(".")[1] for name in used if name.rpartition(".")[0] not in allowed}


def test_a_model_takes_any_backend_of_keras():
    """TensorFlow is imported by functions at most, where it is the backend that is asked for."""
    top = {
        name: [ast.unparse(node) for node in ast.parse(path.read_text()).body]
        for name, path in modules("fer_tasks/models").items()
    }
    bound = re.compile(r"(import|from) (tensorflow|jax|torch)\b")
    assert top and not {name for name, lines in top.items() if any(map(bound.match, lines))}


def test_a_capability_imports_no_other():
    for name, path in modules("fer_tasks").items():
        assert imported_capabilities(path) <= SHARED | {capability(path)}, name


def test_what_is_computed_and_an_app_know_nothing_of_orchestration():
    for name, path in {**modules("fer_tasks"), **modules("apps")}.items():
        assert not {one.split(".")[0] for one in imports(path)} & OUTER, name


def test_functions_of_own_processes_are_named_right():
    for name in filter(str.isupper, vars(in_own_process)):
        module, _, function = getattr(in_own_process, name).partition(":")
        assert function in CODE.module(module).units, name


@pytest.mark.slow
def test_a_flow_imports_no_tensorflow():
    """It takes seconds and half a GB: only the processes that compute with it do."""
    imports = "; ".join(f"import flows.{flow}" for flow in sorted(FLOWS))
    script = f"{imports}; import sys; print({{'tensorflow', 'keras'}} & {{*sys.modules}})"
    assert subprocess.check_output([sys.executable, "-c", script], cwd=ROOT, text=True) == "set()\n"


def test_only_the_storage_modules_touch_disk():
    touches = re.compile(r"\.(?:read_bytes|read_text|write_bytes|write_text|mkdir|rmtree)\(")
    for name, path in modules("fer_tasks").items():
        code = path.read_text()
        if capability(path) not in DISK and "tempfile" not in code and "importlib.resources" not in code:
            assert not touches.findall(code), name


def test_a_flow_imports_no_other_flow():
    for name, path in modules("flows").items():
        used = {one.split(".")[1] for one in imports(path) if one.startswith("flows.")}
        assert not used & FLOWS - {path.stem}, name


def test_each_layer_of_the_flows_imports_those_below_it_only():
    helpers = {path.stem for path in (ROOT / "flows").glob("*.py")} - {"__init__", "home", *LAYERS}
    for number, layer in enumerate(LAYERS):
        files = modules(f"flows/{layer}") or {layer: ROOT / "flows" / f"{layer}.py"}
        for name, path in files.items():
            used = {one.split(".")[1] for one in imports(path) if one.startswith("flows.")}
            assert not used & {*LAYERS[number + 1 :], *helpers}, name


def test_the_packages_are_few():
    entries = [one for one in (ROOT / "fer_tasks").iterdir() if one.name != "__pycache__"]
    assert len(entries) <= 16, "a folder is an idea: where does the new one belong?"


def test_one_word_a_stage_in_four_places():
    sections = set(yaml.safe_load((ROOT / "params.yaml").read_text()))
    for stage, wiring in STAGES.items():
        assert wiring["cmd"] == f"python -m flows.{stage}"
        assert any(entry.split(".")[0] == stage for entry in wiring["params"])
        assert f'name="{stage}"' in (ROOT / "flows" / f"{stage}.py").read_text()
    assert sections == {*STAGES, *BESIDE, "gate", "schedule", "server", "versions"}
    for name in BESIDE:
        assert f'name="{name}"' in (ROOT / "flows" / f"{name}.py").read_text()


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_all_the_code_that_it_reaches(stage):
    listed = [dep for dep in STAGES[stage]["deps"] if dep.startswith(("flows/", "fer_tasks/"))]
    found = reached(CODE, [Use(f"flows.{stage}", (stage,))], {})
    paths = {CODE.module(name).file for name in found.modules} | found.files
    needed = {str(path.relative_to(ROOT)) for path in paths} - ORCHESTRATION - CHECKED_ONLY
    if "fer_tasks/settings/grid.py" not in needed:  # it reads no grid, whose cells have defaults
        needed.discard("fer_tasks/settings/training.py")
    assert f"flows/{stage}.py" in needed
    assert not {file for file in needed if not any(f"{file}/".startswith(f"{dep}/") for dep in listed)}
    assert not {dep for dep in listed if not any(f"{file}/".startswith(f"{dep}/") for file in needed)}


def test_templates_are_among_what_a_stage_reaches():
    found = reached(CODE, [Use("flows.report", ("report",))], {})
    card = {"model_card.md.j2", "model_card_body.md.j2", "intended_use.md.j2", "model_card.html.j2"}
    assert {file.name for file in found.files} == {"report.html.j2", "base.html.j2", *card}


@pytest.mark.parametrize("module", [params, source], ids=lambda module: module.__name__)
def test_what_is_no_dep_of_a_stage_has_no_number_of_its_own(module):
    """params.yaml and sources/ say everything: what is left out there is an error."""
    sections = [
        one for one in vars(module).values() if inspect.isclass(one) and one.__module__ == module.__name__
    ]
    fields = {f"{one.__name__}.{name}": field for one in sections for name, field in one.model_fields.items()}
    assert len(fields) > 5 and all(field.is_required() for field in fields.values())


def test_the_entries_that_a_cell_uses_are_there():
    """A dictionary that is called otherwise, or built otherwise, would count as a whole."""
    cell = Cell(id="x", model="transfer", recipe="x", options={"backbone": "MobileNetV2"}, **LEAST)
    for dictionary, keys in entries(cell.model_dump()).items():
        folders = ("fer_tasks/models", "fer_tasks/training")
        files = [path for folder in folders for path in (ROOT / folder).glob("*.py")]
        modules = [CODE.module(".".join(path.relative_to(ROOT).with_suffix("").parts)) for path in files]
        bound = [module.statements[i] for module in modules for i in module.units.get(dictionary, [])]
        assert [set(keys) <= set(statement.entries) for statement in bound] == [True], dictionary
