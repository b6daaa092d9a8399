"""README.md and docs/ say what is there: commands, modules, settings, files and links, and all of them."""

import ast
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import yaml

from docs.pictures import DOCS
from fer_tasks.cleaning.rules import RULE_NAMES
from fer_tasks.models import BUILDERS
from fer_tasks.settings import Grid

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [README, *sorted(DOCS.glob("*.md"))]
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
TARGETS = set(re.findall(r"^([a-z0-9]+):.*##", (ROOT / "Makefile").read_text(), re.M))
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
LINK = re.compile(r"\]\(([^)\s]+)\)")
# What a run makes; everything else that looks like a path is in git.
MADE = {"data", "models", "reports", ".cache"}
OURS = {path.name for path in ROOT.iterdir()} - MADE - {".git", ".venv"}
FILE = re.compile(r"[\w.-]+\.(?:py|yaml|toml|md|lock|csv|json|log|html|service)")


def text_of(page: Path) -> str:
    return page.read_text()


def everything() -> str:
    return "\n".join(map(text_of, PAGES))


def blocks(language: str) -> Iterator[tuple[str, str]]:
    """(page, code) of each fenced block in a language."""
    for page in PAGES:
        yield from ((page.name, code) for name, code in FENCED.findall(text_of(page)) if name == language)


def code_spans(page: Path) -> list[str]:
    """What stands between backticks, outside fenced blocks."""
    return re.findall(r"`([^`\n]+)`", FENCED.sub("", text_of(page)))


def all_code() -> str:
    """Code spans and fenced blocks of all pages, a line each."""
    fenced = [block for _, block in FENCED.findall(everything())]
    return "\n".join([span for page in PAGES for span in code_spans(page)] + fenced)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", text_of(page)), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def key_exists(key: str) -> bool:
    """Is `key`, such as `clean.rules.max_yaw`, in params.yaml?"""
    section = PARAMS
    for name in key.split("."):
        if not isinstance(section, dict) or name not in section:
            return False
        section = section[name]
    return True


def keys(content: dict, before: str = "") -> Iterator[str]:
    for name, value in content.items():
        yield before + name
        if isinstance(value, dict):
            yield from keys(value, f"{before}{name}.")


def module_exists(name: str) -> bool:
    return find_spec(name.split(".")[0]) is not None and find_spec(name) is not None


def path_exists(name: str) -> bool:
    """Is there such a path from the root? `<name>` and `*` stand for anything."""
    pattern = re.sub(r"<\w+>", "*", name.rstrip("/"))
    return any(ROOT.glob(pattern)) or (ROOT / name).exists()


def test_the_readme_is_a_page():
    assert len(text_of(README).splitlines()) <= 120


def test_the_pictures_are_small():
    sizes = [file.stat().st_size for file in DOCS.glob("*.jpg")]
    assert len(sizes) == 2 and sum(sizes) < 400_000


def test_every_link_leads_somewhere():
    broken, followed = [], 0
    for page in PAGES:
        for link in LINK.findall(text_of(page)):
            if link.startswith(("http://", "https://")):
                continue
            name, _, anchor = link.partition("#")
            target = (page.parent / name).resolve() if name else page
            followed += 1
            if not target.exists() or anchor and anchor not in anchors(target):
                broken.append((page.name, link))
    assert followed > 50 and broken == []


def test_every_page_can_be_found_from_the_readme():
    linked = {(ROOT / link.partition("#")[0]).resolve() for link in LINK.findall(text_of(README))}
    assert {*PAGES} - {README} <= linked


def test_every_make_target_that_is_named_is_there_and_every_one_is_named():
    named = set(re.findall(r"(?<![\w.])make ([a-z0-9]+)", all_code()))
    assert named - TARGETS == set() and TARGETS - named == set()


def test_every_module_that_is_run_is_there():
    named = set(re.findall(r"python -m ([a-z_0-9.]+\w)", everything()))
    named |= {span for page in PAGES for span in code_spans(page) if re.fullmatch(r"benchmarks\.\w+", span)}
    assert len(named) > 10 and {name for name in named if not module_exists(name)} == set()


def test_every_benchmark_is_documented():
    pages = everything()
    names = [file.stem for file in (ROOT / "benchmarks").glob("*.py") if file.stem != "__init__"]
    assert [name for name in names if f"benchmarks.{name}`" not in pages] == []


def test_every_key_of_params_yaml_that_is_named_is_there():
    key = re.compile(rf"(?<![\w/.])((?:{'|'.join(PARAMS)})(?:\.[a-z_0-9]++)++)(?!\()")
    named = {name for name in key.findall(all_code()) if not FILE.fullmatch(name)}
    assert len(named) > 20 and {name for name in named if not key_exists(name)} == set()


def test_every_section_of_params_yaml_is_documented():
    code = all_code()
    assert {name for name in PARAMS if not re.search(rf"(?<![\w/.]){name}\.[a-z]", code)} == set()


def test_settings_in_yaml_are_such_as_the_project_takes():
    shown = list(blocks("yaml"))
    for page, code in shown:
        content = yaml.safe_load(code)
        if "cells" in content:
            Grid.model_validate(content)
        else:
            assert [key for key in keys(content) if not key_exists(key)] == [], page
    assert len(shown) > 3


def test_python_that_is_shown_imports_what_is_there():
    for page, code in blocks("python"):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom) and node.module.startswith(("fer_tasks", "flows", "apps")):
                source = Path(find_spec(node.module).origin).read_text()
                assert all(re.search(rf"\b{alias.name}\b", source) for alias in node.names), page


def test_every_path_that_is_named_is_there():
    missing, checked = [], 0
    for page in PAGES:
        for span in code_spans(page):
            if not re.fullmatch(r"[\w./<>*-]+", span):
                continue
            top, name = span.split("/")[0], span.split("/")[-1]
            if top in OURS or "/" in span and FILE.fullmatch(name) and top not in MADE:
                checked += 1
                missing += [] if path_exists(span) else [(page.name, span)]
    assert checked > 60 and missing == []


def test_what_a_run_makes_is_an_output_of_a_stage():
    made = {"reports/ablation.html"}  # `make ablation` is not a stage
    for stage in STAGES.values():
        made |= {name for output in stage["outs"] + stage.get("metrics", []) for name in output}
    wrong = []
    for page in PAGES:
        for span in code_spans(page):
            name = re.sub(r"<\w+>", "*", span)
            if re.fullmatch(r"(?:data|models|reports)(?:/[\w.*-]+)+", name):
                tops = {"/".join(name.split("/")[:depth]) for depth in (1, 2, 3)}
                wrong += [] if any(fnmatch(one, top) for one in made for top in tops) else [(page.name, span)]
    assert wrong == []


def test_every_path_of_the_tree_is_there():
    """A line names paths, below the last line that is less indented and ends with a slash."""
    tree = text_of(README).split("## The tree")[1].split("```")[1]
    above, found = "", 0
    for line in tree.strip().splitlines():
        names = re.split(r"\s{2,}", line.strip())[0].split(" ")
        if not line.startswith(" "):
            above = names[0]
        for name in names:
            path = (above if line.startswith(" ") else "") + name
            assert path.split("/")[0] in MADE or path_exists(path), path
            found += 1
    assert found > 20


def test_a_name_that_is_said_to_be_in_a_file_is_in_it():
    pages = re.sub(r"\s+", " ", everything())
    named = re.findall(r"`(?:class )?(\w+)` in `([\w/]+\.py)`", pages)
    assert len(named) > 10
    for name, file in named:
        assert re.search(rf"^(?:def |class )?{name}\b", (ROOT / file).read_text(), re.M), (name, file)


def test_a_field_that_is_said_to_be_of_a_class_is_its_own():
    """Not one that it inherits, which is declared elsewhere."""
    pages = re.sub(r"\s+", " ", everything())
    lists = re.findall(r"((?:`\w+`(?:, | or | and )?)+) of `class (\w+)` in `([\w/]+)\.py`", pages)
    assert lists
    for fields, name, file in lists:
        declared = vars(import_module(file.replace("/", ".")))[name].__annotations__
        assert {*re.findall(r"`(\w+)`", fields)} <= {*declared}, name


def test_every_model_grid_and_rule_is_documented():
    spans = {span for page in PAGES for span in code_spans(page)}
    grids = {file.stem for file in (ROOT / "grids").glob("*.yaml")}
    assert ({*BUILDERS} | grids | {*RULE_NAMES}) - spans == set()
