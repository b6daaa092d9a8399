"""A source must lie apart from what the project makes: a stage empties the folder that it writes to."""

import os
from pathlib import Path

from fer_tasks.sources.errors import SourceError
from fer_tasks.sources.label_table import pictures_behind

MADE = ("data", "models", "reports", ".cache", ".dvc", ".git")  # all outputs of dvc.yaml lie in these


def refuse_what_is_made_here(source: Path, project: Path = Path(".")) -> None:
    """Raise SourceError where `source`, or a picture that its table names, is, holds or lies in a folder that
    the project's stages make or `make clean` removes. Links, `..` and the case of names are seen through.
    """
    made = {name: _way(project / name) for name in MADE}
    own = _way(source)
    for name, way in made.items():
        if way[0] & set().union(*own):
            _refuse(source, f"is {name}/ or lies in it", name)
        if own[0] & set().union(*way):
            _refuse(source, f"holds {name}/", name)
    for folder in dict.fromkeys(_folder_of(picture) for picture in pictures_behind(source)):
        lies_in = set().union(*_way(folder))
        if name := next((name for name, way in made.items() if way[0] & lies_in), ""):
            _refuse(source, f"names pictures in {folder}, which lies in {name}/", name)


def _folder_of(picture: Path) -> Path:
    return Path(os.path.realpath(picture)).parent if os.path.islink(picture) else picture.parent


def _refuse(source: Path, fault: str, name: str) -> None:
    raise SourceError(
        f"download.source: {source} {fault}; what is in {name}/ is removed when it is made anew, so nothing "
        "was touched: move the source out of the project's own folders, and name its new place"
    )


def _way(path: Path) -> list[set[object]]:
    """The path and then each folder that it lies in: what it is called, and which file it is."""
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
