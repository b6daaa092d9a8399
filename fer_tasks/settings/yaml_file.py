"""Read a YAML file without YAML's surprises."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from fer_tasks.errors import UserError

NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
PLAIN = re.compile(
    r"[-+]?((0|[1-9][0-9_]*)(\.[0-9_]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?|[-+]?\.(inf|nan)", re.I | re.ASCII
)
WRITE = "write it without leading zeros, colons and letters, or in quotes where it is a name"


class SettingsError(UserError):
    """A settings file is missing, is not YAML, or holds an unknown key or a value out of range."""


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, but 1e-3 is a number, as it is for DVC."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$", re.ASCII),
    list("-+.0123456789"),
)


def read(path: Path) -> Any:
    """The content of a YAML file. Raises SettingsError, also for values that YAML would read as something
    unexpected, such as 0150, which is 104 to it, and for a repeated key."""
    try:
        loader = _Loader(path.read_bytes())
        node = loader.get_single_node()
        for line, fault in _faults(node, frozenset()):
            raise SettingsError(f"{path}: line {line}: {fault}")
        return loader.construct_document(node) if node else None
    except FileNotFoundError:
        raise SettingsError(f"{path} is missing; run from the project's root") from None
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date such as 2026-02-31
        raise SettingsError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None


def _faults(node: yaml.Node | None, above: frozenset[int]) -> Iterator[tuple[int, str]]:
    """The line of each value that YAML would misread, and what is wrong with it."""
    if node is None:
        return
    line = node.start_mark.line + 1
    if id(node) in above:
        yield line, "it contains itself"
    elif isinstance(node, yaml.ScalarNode):
        if node.tag in NUMBERS and not PLAIN.fullmatch(node.value):
            yield line, f"{node.value} is not a plain number; {WRITE}"
    else:
        pairs = node.value if isinstance(node, yaml.MappingNode) else [(item,) for item in node.value]
        if isinstance(node, yaml.MappingNode):
            yield from _repeated_keys([key for key, _ in pairs])
        for part in (part for pair in pairs for part in pair):
            yield from _faults(part, above | {id(node)})


def _repeated_keys(keys: Iterable[yaml.Node]) -> Iterator[tuple[int, str]]:
    seen = set()
    for key in keys:
        if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
            if key.value in seen:
                yield key.start_mark.line + 1, f"the key {key.value} appears twice"
            seen.add(key.value)
