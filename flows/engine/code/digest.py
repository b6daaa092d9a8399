"""The digest of what functions reach: every definition that they use, however far down, the effects of the
modules that these lie in, and the versions of the libraries that are used there.

It does not change with docstrings, comments and formatting, with what is not reached, nor where definitions
are renamed or moved to other modules.
"""

import hashlib
import inspect
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from flows.engine.code.libraries import Libraries
from flows.engine.code.links import Linked, Links, Place
from flows.engine.code.scopes import Use

ROOT = Path(__file__).resolve().parents[3]

Only = Mapping[str, Collection[str]]


class Reached(NamedTuple):
    """What is reached from somewhere."""

    code: str  # its digest
    modules: set[str]  # of which a definition is reached, or that it was imported through
    libraries: set[str]  # names of their modules
    files: set[Path]  # of data


def code_digest(*functions: Any, only: Only | None = None) -> str:
    """The digest of functions, classes or Prefect's tasks that stand at the top of modules, in hexadecimal.

    A function of this project may be named, as "package.module:name", so that its module is not imported.

    `only`: of each dictionary of that name at the top of a module the entries that are used, others do not
    count. Raises LookupError for a function that does not stand at the top of its module.
    """
    wanted = tuple(sorted((name, tuple(sorted(keys))) for name, keys in (only or {}).items()))
    return _digest(tuple(map(_place, functions)), wanted)


@cache
def _digest(places: tuple[tuple[Path, Use], ...], only: tuple[tuple[str, tuple[str, ...]], ...]) -> str:
    parts = [digest(_code(root), Libraries(), [use], dict(only)) for root, use in places]
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()


@cache
def _code(root: Path) -> Links:
    """The modules below a folder as this process first read them, which is about as it runs them."""
    return Links(root)


def _place(function: Any) -> tuple[Path, Use]:
    if isinstance(function, str):
        module, _, name = function.partition(":")
        return ROOT, Use(module, (name,))
    function = inspect.unwrap(getattr(function, "fn", function))
    file = Path(str(inspect.getsourcefile(function))).resolve()
    root = ROOT if file.is_relative_to(ROOT) else file.parent
    module = ".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
    return root, Use(module, (function.__qualname__.partition(".")[0],))


def digest(links: Links, libraries: Libraries, roots: Iterable[Use], only: Only) -> str:
    """The digest of what is reached from `roots`, in hexadecimal. Raises LookupError as `reached`."""
    found = reached(links, roots, only)
    versions = sorted(libraries.versions(found.libraries))
    return hashlib.sha256("\n".join([found.code, *versions]).encode()).hexdigest()


def reached(links: Links, roots: Iterable[Use], only: Only) -> Reached:
    """What is reached from `roots`. Raises LookupError where one is not there."""
    walk = _Walk(links, only)
    for root in roots:
        places = [found for found in links.find(root) if isinstance(found, Place)]
        if not places:
            raise LookupError(f"{'.'.join(root.names)} does not stand at the top of {root.module}")
        walk.follow(places)
    found = walk.reached()
    effects: dict[Place, str] = {}
    while new := [place for place in links.effects(found.modules) if place not in effects]:
        for place in new:
            beside = _Walk(links, only)
            beside.follow([place])
            effect = beside.reached()
            effects[place] = effect.code
            found = Reached(
                found.code, *(one | more for one, more in zip(found[1:], effect[1:], strict=True))
            )
    return found._replace(code=" ".join([found.code, *sorted(effects.values())]))


class _Walk:
    """Follows references, breadth first. Definitions are numbered in the order in which they are met: the
    digest says how they hang together, and not what they are called or where they stand."""

    def __init__(self, links: Links, only: Only):
        self.links, self.only = links, only
        self._code = hashlib.sha256()
        self._met: list[Linked] = []
        self._numbers: dict[Place, int] = {}
        self._waiting: deque[Place] = deque()

    def follow(self, places: Iterable[Place]) -> None:
        self._code.update(" ".join(map(self._number, places)).encode())
        while self._waiting:
            place = self._waiting.popleft()
            self._code.update(f"\n{self._number(place)}: ".encode())
            for linked in self._linked(place):
                self._met.append(linked)
                pieces = (one if isinstance(one, str) else self._number(one) for one in linked.pieces)
                self._code.update("".join(pieces).encode())

    def reached(self) -> Reached:
        modules = {place.module for place in self._numbers}.union(*(one.modules for one in self._met))
        libraries = set[str]().union(*(one.libraries for one in self._met))
        return Reached(
            self._code.hexdigest(), modules, libraries, set[Path]().union(*(one.files for one in self._met))
        )

    def _number(self, place: Place) -> str:
        if place not in self._numbers:
            self._numbers[place] = len(self._numbers)
            self._waiting.append(place)
        return f"#{self._numbers[place]}"

    def _linked(self, place: Place) -> list[Linked]:
        statement = self.links.statement(place)
        wanted = self.only.get(statement.names[0]) if len(statement.names) == 1 else None
        if wanted is not None and statement.entries.keys() >= {*wanted}:
            return [self.links.linked(place, key) for key in sorted(wanted)]
        return [self.links.linked(place)]
