"""Refuse a source inside the project's outputs: a stage empties the folder that it writes to."""

import os
from pathlib import Path

from fer_tasks.sources.errors import SourceError
from fer_tasks.sources.label_table import pictures_behind

OUTPUTS = ("data", "models", "reports", ".cache", ".dvc", ".git")  # all outputs of dvc.yaml lie in these


def refuse_source_in_outputs(source: Path, project: Path = Path(".")) -> None:
    """Refuse a source that overlaps a folder that the project's stages write or `make clean` removes.

    The source, or a picture that its table names, must not be such a folder, lie in one or contain one.
    Links, `..` and the case of names are resolved.

    Raises:
        SourceError: the source overlaps an output.
    """
    outputs = {name: _with_parents(project / name) for name in OUTPUTS}
    source_and_parents = _with_parents(source)
    for name, output_and_parents in outputs.items():
        if output_and_parents[0] & set().union(*source_and_parents):
            _refuse(source, f"is {name}/ or lies in it", name)
        if source_and_parents[0] & set().union(*output_and_parents):
            _refuse(source, f"contains {name}/", name)
    for folder in dict.fromkeys(_folder_of(picture) for picture in pictures_behind(source)):
        lies_in = set().union(*_with_parents(folder))
        if name := next((name for name, (output, *_) in outputs.items() if output & lies_in), ""):
            _refuse(source, f"names pictures in {folder}, which lies in {name}/", name)


def _folder_of(picture: Path) -> Path:
    return Path(os.path.realpath(picture)).parent if os.path.islink(picture) else picture.parent


def _refuse(source: Path, fault: str, name: str) -> None:
    raise SourceError(
        f"download.source: {source} {fault}; the project empties {name}/ before it writes there, so nothing "
        "was touched: move the source out of the project's own folders and name its new path"
    )


def _with_parents(path: Path) -> list[set[object]]:
    """Identities of the path and of each folder above it: name, and device with inode."""
    if "\0" in str(path):  # no file has such a name
        return [set()]
    path = Path(os.path.realpath(path))
    return [_identity(place) for place in (path, *path.parents)]


def _identity(place: Path) -> set[object]:
    try:
        status = os.stat(place)
    except (OSError, ValueError):
        return {str(place)}
    return {str(place), (status.st_dev, status.st_ino)}
