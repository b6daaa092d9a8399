"""A module as the statements at its top, without what does not matter: docstrings, comments, formatting, the
names of functions, the sentences of errors. Names that are not local are references.

Annotations stay: they are the content of a NamedTuple or a section of settings, and elsewhere they name the
class of an argument, whose methods may be called.
"""

import ast
import gc
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from flows.engine.code.scopes import (
    ALL,
    FUNCTIONS,
    IMPORTS,
    Scope,
    Scopes,
    Targets,
    Use,
    imports,
    lookup,
    targets,
)

NO_CONTENT = {"ctx", "kind", "type_comment", "type_ignores", "simple"}
NAMES_A_MODULE = {"import_module", "find_spec", "files"}  # functions of importlib
NAMES_ANYTHING = {"globals", "eval", "exec"}
NAMES_A_FUNCTION = re.compile(r"\w+(?:\.\w+)+:\w+")  # "package.module:name", which another process calls
NAMES_A_FILE = re.compile(r"\w[\w/-]*(\.\w+)+")  # beside the module, below it, or of Jinja
_parsing = threading.Lock()


class Data(NamedTuple):
    """A file beside the module that a text names, such as a template."""

    file: Path


class Decorator(NamedTuple):
    """Apart from other tokens, since one that only orchestrates does not count."""

    tokens: "list[Token]"


Token = str | Use | Data | Decorator


class Statement(NamedTuple):
    """A statement at the top of a module that is no import."""

    tokens: list[Token]
    names: list[str]  # that it binds
    entries: dict[str, list[Token]]  # where it binds one name to a dictionary with texts as keys
    is_assignment: bool
    has_effect: bool  # it does something, whoever uses the module


class Module(NamedTuple):
    """A module of the project."""

    file: Path
    statements: list[Statement]
    units: dict[str, list[int]]  # which statements bind a name
    imports: Targets
    imported: list[Use]  # everywhere in the module
    stars: list[str]  # modules that all names are imported from


def read_module(name: str, file: Path) -> Module:
    """Read a module. Raises SyntaxError."""
    tree = _parse(file)
    reader = _Reader(name, file)
    statements = [node for node in tree.body if not _is_skipped(node)]
    read = [reader.statement(node) for node in statements]
    bound = targets(tree.body, reader.package)
    imported = [
        pair for node in ast.walk(tree) if isinstance(node, IMPORTS) for pair in imports(node, reader.package)
    ]
    return Module(
        file=file,
        statements=read,
        units={name: [i for i, one in enumerate(read) if name in one.names] for name in bound},
        imports={name: uses for name, uses in bound.items() if uses},
        imported=[use for _, use in imported],
        stars=[use.module for name, use in imported if name == ALL],
    )


def _parse(file: Path) -> ast.Module:
    """Without garbage collection: in Python 3.11 a finaliser may let another thread parse in the midst of it,
    and then this fails with a SystemError (https://github.com/python/cpython/issues/106905)."""
    with _parsing:
        was_enabled = gc.isenabled()
        gc.disable()
        try:
            return ast.parse(file.read_bytes(), str(file))
        finally:
            if was_enabled:
                gc.enable()


class _Reader:
    """Turns the syntax tree of a module into tokens."""

    def __init__(self, module: str, file: Path):
        self.module, self.folder = module, file.parent
        self.package = module if file.name == "__init__.py" else module.rpartition(".")[0]

    def statement(self, node: ast.stmt) -> Statement:
        names = list(targets([node], self.package))
        value = getattr(node, "value", None)
        entries = {}
        if len(names) == 1 and isinstance(value, ast.Dict) and all(map(_is_text, value.keys)):
            pairs = zip(value.keys, value.values, strict=True)
            entries = {key.value: [repr(key.value), *self._tokens(item, ())] for key, item in pairs}
        plain = isinstance(node, (*FUNCTIONS, ast.ClassDef)) or _only_binds(node)
        is_assignment = isinstance(node, ast.Assign | ast.AnnAssign)
        return Statement([*self._tokens(node, (), True)], names, entries, is_assignment, not plain)

    def _tokens(self, node: ast.AST, scopes: Scopes, at_top: bool = False) -> Iterator[Token]:
        match node:
            case ast.Name(id=name):
                yield from self._use((name,), scopes)
            case ast.Attribute() if (chain := _chain(node)) and lookup(chain[0], scopes) != []:
                yield from self._use(chain, scopes)
            case ast.Constant(value=str(name)) if NAMES_A_FUNCTION.fullmatch(name):
                module, _, function = name.partition(":")
                yield Use(module, (function,))
            case ast.Constant(value=value):
                yield repr(value)
                if isinstance(value, str) and NAMES_A_FILE.fullmatch(value):
                    for file in (self.folder / value, self.folder / "templates" / value):
                        if file.suffix != ".py" and file.is_file():
                            yield Data(file)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                yield from self._function(node, scopes, at_top)
            case ast.ClassDef():
                yield from self._class(node, scopes)
            case ast.Raise():
                yield from self._fields(_NoSentences().visit(node), scopes)
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                bound = targets((part.target for part in node.generators), self.package)
                yield from self._fields(node, (*scopes, Scope(bound)))
            case ast.Call(func=function, args=[ast.Constant(value=str(module)), *_]) if (
                _chain(function) or ("",)
            )[-1] in NAMES_A_MODULE:
                yield Use(module, ())
                yield from self._fields(node, scopes)
            case _:
                yield from self._fields(node, scopes)

    def _fields(self, node: ast.AST, scopes: Scopes, but: tuple[str, ...] = ()) -> Iterator[Token]:
        yield f"{type(node).__name__}("
        for field, value in ast.iter_fields(node):
            if field in NO_CONTENT or field in but or value is None or value == []:
                continue
            yield f"{field}="
            for item in _counted(value) if isinstance(value, list) else [value]:
                if isinstance(item, ast.AST):
                    yield from self._tokens(item, scopes)
                else:
                    yield repr(item)
                yield ","
        yield ")"

    def _function(self, node: ast.AST, scopes: Scopes, at_top: bool) -> Iterator[Token]:
        for decorator in getattr(node, "decorator_list", ()):
            yield Decorator([*self._tokens(decorator, scopes), ","])
        outer = (*scopes, Scope({one.name: [] for one in getattr(node, "type_params", ())}))
        arguments = {arg.arg: [] for arg in ast.walk(node.args) if isinstance(arg, ast.arg)}
        body = node.body if isinstance(node.body, list) else [node.body]
        inner = (
            *(one for one in outer if not one.is_class),
            Scope({**arguments, **targets(body, self.package)}),
        )
        yield f"{type(node).__name__}({'' if at_top else getattr(node, 'name', '')}"
        yield from self._fields(node.args, outer)
        if returns := getattr(node, "returns", None):
            yield from self._tokens(returns, outer)
        for one in _counted(body):
            yield from self._tokens(one, inner)
            yield ";"
        yield ")"

    def _class(self, node: ast.ClassDef, scopes: Scopes) -> Iterator[Token]:
        outer = (*scopes, Scope({one.name: [] for one in getattr(node, "type_params", ())}))
        yield from self._fields(node, outer, but=("body",))
        inner = (*outer, Scope(targets(node.body, self.package), is_class=True))
        for one in _counted(node.body):
            yield from self._tokens(one, inner)
            yield ";"

    def _use(self, chain: tuple[str, ...], scopes: Scopes) -> Iterator[Token]:
        name, *rest = chain
        found = lookup(name, scopes)
        if found == []:  # a variable
            yield name
        elif found is None:
            yield Use(self.module, (*chain,))
            if name in NAMES_ANYTHING:
                yield Use(self.module, ())
        else:
            yield from (Use(use.module, (*use.names, *rest)) for use in found)


class _NoSentences(ast.NodeTransformer):
    """Leaves out what an error says to people; a single word may be a reason that results hold."""

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        return ast.Constant("") if isinstance(node.value, str) and " " in node.value else node


def _chain(node: ast.AST) -> tuple[str, ...]:
    """The names of `a.b.c`; empty for what begins with anything but a name."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return (node.id, *names[::-1]) if isinstance(node, ast.Name) else ()


def _is_text(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _only_binds(node: ast.stmt) -> bool:
    """Does it give names values, and nothing else?"""
    if node.__class__.__name__ == "TypeAlias":
        return True
    if not isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        return False
    places = node.targets if isinstance(node, ast.Assign) else [node.target]
    parts = [part for place in places for part in ast.walk(place)]
    return not any(isinstance(part, ast.Attribute | ast.Subscript) for part in parts)


def _is_skipped(node: ast.stmt) -> bool:
    """What is there for `python -m` or a type checker, or does not count anywhere."""
    if isinstance(node, ast.If):
        test = ast.unparse(node.test)
        return test.startswith("__name__ ==") or test.endswith("TYPE_CHECKING")
    return not _counted([node])


def _counted(nodes: list[Any]) -> list[Any]:
    """Without imports, which count where what they bring is used, docstrings and `...`."""
    return [
        node
        for node in nodes
        if not isinstance(node, IMPORTS)
        and not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
    ]
