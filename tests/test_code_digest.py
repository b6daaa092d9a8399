"""A digest changes with what a function reaches, however far down, and with nothing else."""

import ast
import gc
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from fer_tasks.recipes import transform_all
from flows.engine.code import code_digest
from flows.engine.code.digest import digest
from flows.engine.code.libraries import Libraries
from flows.engine.code.links import Links
from flows.engine.code.scopes import Use
from flows.engine.code.syntax import read_module

ROOT = Path(__file__).parents[1]
TREE = {
    "pkg/__init__.py": "",
    "pkg/top.py": '''
"""What is asked about."""
from functools import partial
from typing import TYPE_CHECKING
from prefect import task
from pkg import names as words, shapes
from pkg.middle import middle
from pkg.starred import *
if TYPE_CHECKING:
    from pkg import other
plain = partial(task, retries=1)

@plain
def root(x: "other.Thing", shapes_of=shapes.Square):
    """Says something."""
    import pkg.late
    model = BUILDERS[x]
    text = page("page.html.j2")
    return middle(x) + model(x) + pkg.late.late(x) + starred(x) + shapes_of.side + getattr(words, x) + text

def page(name): return name
def unrelated(x): return x
''',
    "pkg/middle.py": """
import numpy as np
from pkg.deep import nearer
def middle(x, least=1): return nearer(x, least) + np.pi
""",
    "pkg/deep.py": """
from .deepest import deepest, doubled
LEAST = 3
LEAST += 1
def nearer(x, least): return deepest(x) if x > LEAST else more(x)
@doubled
def more(x): return x
""",
    "pkg/deepest.py": """
def deepest(x): return odd(x)
def odd(x): return x and even(x - 1)
def even(x): return x and odd(x - 1)
def doubled(function): return function
def unused(x): return x
""",
    "pkg/shapes.py": """
class Shape:
    sides = 0
    def area(self): return self.sides
class Square(Shape):
    side = 1
""",
    "pkg/names.py": "one = 1\ntwo = 2\n",
    "pkg/late.py": "import fewer\ndef late(x): return fewer.less(x)\n",
    "pkg/starred.py": "def starred(x): return x\ndef hidden(x): return x\n",
    "pkg/models.py": """
def small(x): return x
def large(x): return x
BUILDERS = {"small": small, "large": large}
""",
    "pkg/other.py": "class Thing: pass\n",
    "pkg/page.html.j2": "{% extends 'base.html.j2' %}",
    "pkg/base.html.j2": "<html>",
}
TREE["pkg/top.py"] = TREE["pkg/top.py"].replace(
    "from pkg.starred", "from pkg.models import BUILDERS\nfrom pkg.starred"
)
ROOTS = [Use("pkg.top", ("root",))]


def digest_of(folder: Path, tree: dict[str, str], libraries: Libraries | None = None) -> str:
    for name, text in tree.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return digest(Links(folder), libraries or Libraries([]), ROOTS, {"BUILDERS": ["small"]})


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> str:
    return digest_of(tmp_path_factory.mktemp("before"), TREE)


def changed(file: str, old: str, new: str) -> dict[str, str]:
    assert old in TREE[file]
    return {**TREE, file: TREE[file].replace(old, new)}


def moved() -> dict[str, str]:
    """Two files go to another package, one under another name; others import them from there."""
    tree = {name: text for name, text in TREE.items() if name not in ("pkg/deep.py", "pkg/deepest.py")}
    tree |= {"pkg/inner/__init__.py": "", "pkg/inner/deep.py": TREE["pkg/deep.py"]}
    tree["pkg/inner/bottom.py"] = TREE["pkg/deepest.py"]
    tree["pkg/inner/deep.py"] = tree["pkg/inner/deep.py"].replace(".deepest import", ".bottom import")
    return {**tree, "pkg/middle.py": TREE["pkg/middle.py"].replace("pkg.deep", "pkg.inner.deep")}


NO_CHANGES = {
    "a docstring": changed("pkg/top.py", "Says something.", "Says something else."),
    "a docstring more": changed("pkg/deepest.py", "(x): return odd", '(x):\n    "New."\n    return odd'),
    "a module's docstring": changed("pkg/top.py", "What is asked about.", "Other words."),
    "a comment": changed("pkg/deep.py", "LEAST = 3", "LEAST = 3  # three\n\n# and more"),
    "formatting": changed("pkg/middle.py", "(x, least) + np.pi", "(\n    x,\n    least,\n) + np.pi"),
    "another import of the same": changed("pkg/middle.py", "np\n", "n\n")
    | {"pkg/middle.py": TREE["pkg/middle.py"].replace("numpy as np", "numpy").replace("np.", "numpy.")},
    "a function that is not used": changed(
        "pkg/deepest.py", "def unused(x): return x", "def unused(x): return 2"
    ),
    "a new function": changed("pkg/middle.py", "def middle", "def new(x): return x\ndef middle"),
    "a new model": changed("pkg/models.py", '"large": large', '"large": large, "new": lambda x: x'),
    "another model": changed("pkg/models.py", "def large(x): return x", "def large(x): return 2 * x"),
    "a name behind a star": changed("pkg/starred.py", "hidden(x): return x", "hidden(x): return 2"),
    "what only a type checker sees": changed("pkg/other.py", "pass", "x = 1"),
    "how a task is retried": changed("pkg/top.py", "retries=1", "retries=2"),
    "a new file": {**TREE, "pkg/new.py": "print('new')"},
    "a moved file": moved(),
    "a renamed function": {
        **TREE,
        "pkg/deep.py": TREE["pkg/deep.py"]
        .replace("deepest, ", "bottom, ")
        .replace("deepest(x)", "bottom(x)"),
        "pkg/deepest.py": TREE["pkg/deepest.py"].replace("def deepest", "def bottom"),
    },
    "python -m": changed("pkg/deep.py", "LEAST = 3", "LEAST = 3\nif __name__ == '__main__': print(1)"),
}
CHANGES = {
    "the function itself": changed("pkg/top.py", "middle(x) +", "middle(x) -"),
    "a helper three calls down": changed("pkg/deepest.py", "return odd(x)", "return -odd(x)"),
    "one that calls itself by another": changed("pkg/deepest.py", "return x and odd", "return not x or odd"),
    "a default": changed("pkg/middle.py", "least=1", "least=2"),
    "a constant": changed("pkg/deep.py", "LEAST = 3", "LEAST = 4"),
    "what is added to a constant": changed("pkg/deep.py", "LEAST += 1", "LEAST += 2"),
    "a class attribute": changed("pkg/shapes.py", "side = 1", "side = 2"),
    "a method of a base class": changed("pkg/shapes.py", "return self.sides", "return 2 * self.sides"),
    "a decorator": changed("pkg/deepest.py", "return function", "return lambda x: 2 * x"),
    "a decorator less": changed("pkg/deep.py", "@doubled\n", ""),
    "the model": changed("pkg/models.py", "def small(x): return x", "def small(x): return 2 * x"),
    "another helper of the same shape": changed("pkg/deepest.py", "x and even", "x and odd"),
    "what a star brings": changed("pkg/starred.py", "def starred(x): return x", "def starred(x): return 2"),
    "what a name in a text may be": changed("pkg/names.py", "two = 2", "two = 3"),
    "what is imported late": changed("pkg/late.py", "fewer.less", "fewer.more"),
    "an effect of a module": changed("pkg/middle.py", "def middle", "np.seterr(all='raise')\ndef middle"),
    "an effect of a module behind it": changed("pkg/starred.py", "def starred", "print(1)\ndef starred"),
    "a template": {**TREE, "pkg/page.html.j2": TREE["pkg/page.html.j2"] + "."},
    "a template's template": {**TREE, "pkg/base.html.j2": "<html lang='en'>"},
}


@pytest.mark.parametrize("what", NO_CHANGES)
def test_what_computes_the_same_has_the_same_digest(tmp_path, before, what):
    assert NO_CHANGES[what] != TREE
    assert digest_of(tmp_path, NO_CHANGES[what]) == before


@pytest.mark.parametrize("what", CHANGES)
def test_what_may_compute_something_else_has_another_digest(tmp_path, before, what):
    assert digest_of(tmp_path, CHANGES[what]) != before


def install(folder: Path, name: str, version: str, module: str) -> None:
    about = folder / f"{name}-{version}.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (about / "RECORD").write_text(f"{module}/__init__.py,,\n")


def test_a_librarys_version_changes_what_uses_it(tmp_path, before):
    """By the name of the module that is imported, here of a distribution that is called otherwise."""
    for folder, versions in {"one": "11", "same": "11", "used": "21", "not used": "12"}.items():
        install(tmp_path / folder, "fewer-lines", versions[0], "fewer")
        install(tmp_path / folder, "more-lines", versions[1], "more")
    found = {
        name: digest_of(tmp_path, TREE, Libraries([str(tmp_path / name)]))
        for name in ("one", "same", "used", "not used")
    }
    assert found["one"] == found["same"] == found["not used"]
    assert len({before, found["one"], found["used"]}) == 3


def test_a_root_that_is_not_there_is_told(tmp_path):
    with pytest.raises(LookupError, match="root does not stand at the top of pkg.top"):
        digest_of(tmp_path, {"pkg/__init__.py": "", "pkg/top.py": ""})


class Slow:
    """Garbage whose end lets other threads run."""

    def __init__(self):
        self.itself = self

    def __del__(self):
        time.sleep(0.001)


@pytest.mark.slow
def test_another_thread_may_parse_at_the_same_time():
    """Python 3.11 would fail with a SystemError where garbage is collected while it parses."""
    done, before = threading.Event(), gc.get_threshold()

    def parse() -> None:
        while not done.is_set():
            with suppress(SystemError):
                ast.parse("x = 1")

    other = threading.Thread(target=parse)
    other.start()
    gc.set_threshold(100)
    try:
        for _ in range(20):
            garbage = [Slow() for _ in range(20)]
            del garbage
            assert read_module(
                "fer_tasks.storage.dataset", ROOT / "fer_tasks" / "storage" / "dataset.py"
            ).units
    finally:
        gc.set_threshold(*before)
        done.set()
        other.join()
    assert gc.isenabled()


def test_every_process_finds_the_same_digest():
    script = "from flows.engine.code import code_digest; from fer_tasks.recipes import transform_all\n"
    script += "print(code_digest(transform_all))"
    run = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "17"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == code_digest(transform_all)


@pytest.mark.parametrize("line", ["from pkg import inner", "from . import inner", "import pkg.inner"])
def test_a_package_may_import_a_module_of_its_own(tmp_path, line):
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").write_text(line)
    (tmp_path / "user.py").write_text("from pkg import inner\ndef g(): return inner.f()")
    found = set()
    for value in (1, 2):
        (tmp_path / "pkg" / "inner.py").write_text(f"def f(): return {value}")
        found.add(digest(Links(tmp_path), Libraries(), [Use("user", ("g",))], {}))
    assert len(found) == 2


def test_the_sentence_of_an_error_does_not_count_but_its_reason(tmp_path):
    def digest_of(error: str) -> str:
        (tmp_path / "user.py").write_text(f"def g(x):\n    if x > 1: raise {error}\n    return x")
        return digest(Links(tmp_path), Libraries(), [Use("user", ("g",))], {})

    before = digest_of('ValueError("too_large", f"{x} is too large")')
    assert digest_of('ValueError("too_large", f"{x} is larger than one")') == before
    assert digest_of('ValueError("large", f"{x} is too large")') != before
    assert digest_of('TypeError("too_large", f"{x} is too large")') != before
