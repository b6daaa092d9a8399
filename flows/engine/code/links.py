"""Which statement of which module a name stands for, across the modules of a project."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from flows.engine.code.scopes import Use
from flows.engine.code.syntax import Data, Decorator, Module, Statement, Token, read_module

NAMED_FILE = re.compile(r"""["']([\w./-]+\.\w+)["']""")  # in a template
ORCHESTRATOR = "prefect."


class Place(NamedTuple):
    """A statement at the top of a module."""

    module: str
    index: int


class Outside(NamedTuple):
    """A name of a library."""

    name: str


Found = Place | Outside | str  # text: a builtin, or an attribute that no statement binds


class Linked(NamedTuple):
    """A statement, or a part of one, with what its names stand for."""

    pieces: list[str | Place]
    modules: set[str]  # of this project, that names were imported through
    libraries: set[str]  # names of their modules
    files: set[Path]  # of data


class Links:
    """The modules below a folder, each read once, when it is asked for."""

    def __init__(self, root: Path):
        self.root = root
        self._modules: dict[str, Module | None] = {}
        self._linked: dict[tuple[Place, str | None], Linked] = {}

    def module(self, name: str) -> Module | None:
        """A module of the project; None for any other. Raises SyntaxError."""
        if name not in self._modules:
            self._modules[name] = self._read(name)
        return self._modules[name]

    def _read(self, name: str) -> Module | None:
        path = self.root.joinpath(*name.split("."))
        for file in (path / "__init__.py", path.with_suffix(".py")):
            if file.is_file():
                return read_module(name, file)
        is_package = name and any(path.glob("*.py"))  # without an __init__.py
        return Module(path, [], {}, {}, [], []) if is_package else None

    def statement(self, place: Place) -> Statement:
        return self.module(place.module).statements[place.index]

    def find(self, use: Use, through: set[str] | None = None) -> Iterator[Found]:
        """What a name stands for, wherever it was imported from: of a name that is bound several times all of
        it, of a module as a whole all its statements. `through` gets the modules on the way."""
        module, (name, *rest) = self.module(use.module), use.names or ("",)
        if module is None:
            yield Outside(".".join((use.module, *use.names)))
        elif not name:
            yield from (Place(use.module, i) for i in range(len(module.statements)))
            for one in (one for uses in module.imports.values() for one in uses if one.names):
                yield from self.find(one, through)
        elif name in module.units or name in module.imports:
            if through is not None:
                through.add(use.module)
            yield from (Place(use.module, i) for i in module.units.get(name, ()))
            for one in module.imports.get(name, ()):
                if one == Use(use.module, (name,)):  # a package that imports a module of its own
                    one = Use(f"{use.module}.{name}", ())
                yield from self.find(one._replace(names=(*one.names, *rest)), through)
        elif self.module(inner := f"{use.module}.{name}"):
            yield from self.find(Use(inner, tuple(rest)), through)
        else:
            stars = [self.find(Use(star, use.names), through) for star in module.stars]
            found = [one for star in stars for one in star if not isinstance(one, str)]
            yield from found or [".".join(use.names)]

    def effects(self, modules: Iterable[str]) -> Iterator[Place]:
        """What modules, and those that they import, do whoever uses them."""
        waiting, seen = [*modules], set()
        while waiting:
            name = waiting.pop()
            if name in seen or not (module := self.module(name)):
                continue
            seen.add(name)
            yield from (Place(name, i) for i, one in enumerate(module.statements) if one.has_effect)
            for use in module.imported:
                inner = ".".join((use.module, *use.names))
                waiting.append(inner if self.module(inner) else use.module)

    def linked(self, place: Place, key: str | None = None) -> Linked:
        """A statement, or one entry of the dictionary that it binds, with what its names stand for."""
        if (place, key) not in self._linked:
            statement, linked = self.statement(place), Linked([], set(), set(), set())
            self._link(statement.tokens if key is None else statement.entries[key], linked)
            texts = groupby(linked.pieces, lambda one: isinstance(one, str))
            short = [["".join(map(str, group))] if is_text else [*group] for is_text, group in texts]
            linked = linked._replace(pieces=[one for group in short for one in group])
            self._linked[place, key] = linked
        return self._linked[place, key]

    def _link(self, tokens: Iterable[Token], linked: Linked) -> None:
        for token in tokens:
            match token:
                case str():
                    linked.pieces.append(token)
                case Use():
                    self._link_name(token, linked)
                case Data(file=file):
                    self._link_file(file, linked)
                case Decorator(tokens=inner):
                    if not self._orchestrates(next((one for one in inner if isinstance(one, Use)), None)):
                        self._link(inner, linked)

    def _link_name(self, use: Use, linked: Linked) -> None:
        for found in self.find(use, linked.modules):
            match found:
                case str():
                    linked.pieces.append(found)
                case Outside(name=name):
                    linked.pieces.append(name)
                    linked.libraries.add(name.partition(".")[0])
                case Place():
                    names = self.statement(found).names
                    at = next((names.index(name) for name in use.names if name in names), 0)
                    linked.pieces.extend([found, f".{at}.{'.'.join(use.names[1:])}"])

    def _link_file(self, file: Path, linked: Linked) -> None:
        """The content of a file, and of those that it names."""
        if file in linked.files:
            return
        linked.files.add(file)
        content = file.read_bytes()
        linked.pieces.append(hashlib.sha256(content).hexdigest())
        for name in NAMED_FILE.findall(content.decode(errors="ignore")):
            if (file.parent / name).is_file():
                self._link_file(file.parent / name, linked)

    def _orchestrates(self, use: Use | None) -> bool:
        """Is it Prefect's, or assigned something that is made of Prefect's?"""
        for found in self.find(use) if use else ():
            if isinstance(found, Outside) and found.name.startswith(ORCHESTRATOR):
                return True
            if isinstance(found, Place) and self.statement(found).is_assignment:
                names = {*self.statement(found).names}
                uses = [one for one in self.statement(found).tokens if isinstance(one, Use)]
                if any(self._orchestrates(one) for one in uses if not names & {*one.names}):
                    return True
        return False
