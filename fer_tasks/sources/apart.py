"""Refuse a source inside the project's outputs: a stage empties the folder that it writes to."""

import os
from pathlib import Path

from fer_tasks.sources.errors import SourceError
from fer_tasks.sources.label_table import pictures_behind

MADE = ("data", "models", "reports", ".cache", ".dvc", ".git")  # all outputs of dvc.yaml lie in these


def refuse_what_is_made_here(source: Path, project: Path = Path(".")) -> None:
    """Raise SourceError if `source`, or a picture that its table names, is, contains or lies in a folder that
    the project's stages write or `make clean` removes. Links, `..` and the case of names are resolved.
    """
    made = {name: _with_parents(project / name) for name in MADE}
    own = _with_parents(source)
    for name, folders in made.items():
        if folders[0] & set().union(*own):
            _refuse(source, f"is {name}/ or lies in it", name)
        if own[0] & set().union(*folders):
            _refuse(source, f"contains {name}/", name)
    for folder in dict.fromkeys(_folder_of(picture) for picture in pictures_behind(source)):
        lies_in = set().union(*_with_parents(folder))
        if name := next((name for name, folders in made.items() if folders[0] & lies_in), ""):
            _refuse(source, f"names pictures in {folder}, which lies in {name}/", name)


def _folder_of(picture: Path) -> Path:
    return Path(os.path.realpath(picture)).parent if os.path.islink(picture) else picture.parent


def _refuse(source: Path, fault: str, name: str) -> None:
    raise SourceError(
        f"download.source: {source} {fault}; what is in {name}/ is removed when it is made anew, so nothing "
        "was touched: move the source out of the project's own folders, and name its new place"
    )


def _with_parents(path: Path) -> list[set[object]]:
    """Identities of the path and of each folder above it: name, and device with inode."""
    if "\0" in str(path):  # no file has such a name
        return [set()]
    path = Path(os.path.realpath(path))
    return [_identity(place) for place in (path, *path.parents)]


def _identity(place: Path) -> set[object]:
    try:
        found = os.stat(place)
    except (OSError, ValueError):
        return {str(place)}
    return {str(place), (found.st_dev, found.st_ino)}
