"""Which names a piece of code binds, and what an import stands for."""

import ast
from collections.abc import Iterable, Iterator
from typing import NamedTuple

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
IMPORTS = (ast.Import, ast.ImportFrom)
ALL = "*"  # whatever there is in a module


class Use(NamedTuple):
    """A name of a module with the attributes behind it; without names the module itself."""

    module: str
    names: tuple[str, ...]


Targets = dict[str, list[Use]]  # names that are bound, and what each was imported from, if it was


class Scope(NamedTuple):
    """The names of a function, a class or a comprehension."""

    targets: Targets
    is_class: bool = False


Scopes = tuple[Scope, ...]


def targets(nodes: Iterable[ast.AST], package: str) -> Targets:
    """The names that statements or expressions of a module in `package` bind in their own scope."""
    bound: Targets = {}
    elsewhere: set[str] = set()
    waiting = list(nodes)[::-1]
    while waiting:
        node = waiting.pop()
        for name, uses in _bound_by(node, package):
            bound.setdefault(name, []).extend(uses)
        if isinstance(node, ast.Global | ast.Nonlocal):
            elsewhere |= {*node.names}
        waiting += list(_same_scope(node))[::-1]
    return {name: uses for name, uses in bound.items() if name not in elsewhere}


def _bound_by(node: ast.AST, package: str) -> Iterator[tuple[str, list[Use]]]:
    match node:
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
            yield name, []
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name, []
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            yield name, []
        case ast.MatchMapping(rest=str(name)):
            yield name, []
        case ast.Import() | ast.ImportFrom():
            yield from ((name, [use]) for name, use in imports(node, package) if name != ALL)


def imports(node: ast.Import | ast.ImportFrom, package: str) -> Iterator[tuple[str, Use]]:
    """Each name that an import binds, and what it stands for."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            if alias.asname:
                yield alias.asname, Use(alias.name, ())
            else:
                yield alias.name.partition(".")[0], Use(alias.name.partition(".")[0], ())
        return
    module = node.module or ""
    if node.level:
        parts = package.split(".")
        module = ".".join([*parts[: len(parts) - node.level + 1], *filter(None, [module])])
    for alias in node.names:
        yield alias.asname or alias.name, Use(module, () if alias.name == ALL else (alias.name,))


def lookup(name: str, scopes: Scopes) -> list[Use] | None:
    """What a name was imported from, nothing for a variable; None for a name of the module or a builtin."""
    for i, scope in enumerate(reversed(scopes)):
        if name in scope.targets and (i == 0 or not scope.is_class):
            return scope.targets[name]
    return None


def _same_scope(node: ast.AST) -> Iterator[ast.AST]:
    """The parts of a node that bind names where it stands."""
    if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
        yield from node.decorator_list
    elif isinstance(node, COMPREHENSIONS):
        yield from (part for part in ast.walk(node) if isinstance(part, ast.NamedExpr))
    elif not isinstance(node, ast.Lambda):
        yield from ast.iter_child_nodes(node)
