"""The versions of installed libraries, by the names of their modules."""

import sys
from collections.abc import Collection, Sequence
from functools import cache
from importlib.metadata import Distribution, distributions
from pathlib import Path

# Libraries that decide when and where something is computed, or check what goes in: never what comes out.
ORCHESTRATION = {"prefect", "pydantic", "loky", "diskcache", "filelock", "platformdirs", "tqdm", "psutil"}
# What computes for those that are only its front.
ENGINES = {"keras": "tensorflow", "rapidocr_onnxruntime": "onnxruntime", "rapidocr": "onnxruntime"}
LISTS = ("top_level.txt", "RECORD")  # of what a distribution holds
ENDS = ("/", ".py", ".abi3.", ".cpython-", "\n")  # of a module's name there


class Libraries:
    """What is installed in `folders`, those of this Python if none are given."""

    def __init__(self, folders: Sequence[str] | None = None):
        found = sys.path if folders is None else folders
        self._folders = tuple(dict.fromkeys(str(Path(folder).resolve()) for folder in found))

    def versions(self, modules: Collection[str]) -> set[str]:
        """The distributions that modules come from, with their versions; of what is not installed nothing.

        Python's own modules and those of ORCHESTRATION do not count; of ENGINES both do.
        """
        counted = {*modules} - ORCHESTRATION - sys.stdlib_module_names
        counted |= {ENGINES[module] for module in counted & ENGINES.keys()}
        found = [one for module in counted for one in _that_hold(module, self._folders)]
        return {f"{one.name} {one.version}" for one in found}


@cache
def _that_hold(module: str, folders: Sequence[str]) -> list[Distribution]:
    begins = [f"\n{module}{end}" for end in ENDS]
    return [one for one, holds in _installed(folders) if any(begin in holds for begin in begins)]


@cache
def _installed(folders: Sequence[str]) -> list[tuple[Distribution, str]]:
    """`importlib.metadata.packages_distributions` would take ten times as long."""
    return [
        (one, "\n".join(["", *(one.read_text(name) or "" for name in LISTS), ""]))
        for one in distributions(path=[*folders])
    ]
