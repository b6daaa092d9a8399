"""What a SOURCE of the command is: a picture, a folder, a pattern, a video, standard input, a camera or a
stream."""

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from fer_tasks.errors import UserError
from fer_tasks.sources.names import is_ignored, shown, suffix_of
from fer_tasks.sources.verdict import SPECIAL, fault_of
from fer_tasks.video.addresses import is_address
from fer_tasks.video.containers import ENOUGH, kind_of

STDIN = "-"
VIDEOS = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".ts", ".mts")
VIDEOS += (".m2ts", ".3gp", ".ogv", ".mjpeg", ".y4m")
FILMS = {"mp4", "matroska", "avi"}


class Item(NamedTuple):
    """A picture, or something that gives frames."""

    name: str  # as the user named it, and as rows do
    kind: Literal["picture", "video", "camera", "stream"]
    # Below the folder that was named, or the file's name: where an annotated copy goes.
    place: str


def list_items(sources: Sequence[str], but: Sequence[Path | None] = ()) -> list[Item]:
    """All pictures, videos, cameras and streams of the command line, in its order; of a folder recursively,
    by name. What lies below the folders `but` is left out.

    A name that is not there is listed as a picture: reading it says so.

    Raises:
        UserError: a folder cannot be listed, or there is nothing in all of them.
    """
    left_out = {folder.resolve() for folder in but if folder}
    items = [item for source in sources for item in _items(source, left_out)]
    if not items:
        places = " ".join(map(shown, sources))
        raise UserError(f"{places}: no picture and no video there; name a file, a folder or a pattern")
    return list(_apart(items))


def free_name(wanted: Path, taken: set[Path]) -> Path:
    """A name that is not taken, with -2, -3 … where the wanted one is; it is added to those taken."""
    free, number = wanted, 2
    while free in taken:
        free, number = wanted.with_stem(f"{wanted.stem}-{number}"), number + 1
    taken.add(free)
    return free


def _apart(items: Sequence[Item]) -> Iterator[Item]:
    """Where the copies of two videos would go to one place, the later one gets another."""
    taken: set[Path] = set()
    for item in items:
        if item.kind != "picture":  # whose copies have other suffixes
            item = item._replace(place=str(free_name(Path(item.place), taken)))
        yield item


def _items(source: str, but: set[Path]) -> Iterator[Item]:
    path = Path(source)
    if source == STDIN:
        yield Item(source, "picture", "stdin")
    elif is_address(source):
        yield Item(source, "stream", "stream")
    elif path.is_dir():
        yield from _in_folder(path, but)
    elif source.isdecimal() and not path.exists():
        yield Item(source, "camera", f"camera-{source}")
    elif not os.path.lexists(path) and glob.has_magic(source):
        found = sorted(glob.glob(source, recursive=True))
        yield from (item for one in found or [source] for item in _matched(one, but))
    else:
        yield _of_file(path, path.name)


def _matched(name: str, but: set[Path]) -> Iterator[Item]:
    path = Path(name)
    return _in_folder(path, but) if path.is_dir() else iter([_of_file(path, path.name)])


def _in_folder(folder: Path, but: set[Path]) -> Iterator[Item]:
    """The pictures and videos of a folder, by their names' suffixes; hidden ones are left out."""
    for root, folders, files in os.walk(folder, onerror=_not_listed):
        kept = [name for name in sorted(folders) if not is_ignored(name, folder=True)]
        folders[:] = [name for name in kept if Path(root, name).resolve() not in but]
        for name in sorted(files):
            if not is_ignored(name) and (suffix_of(name) or Path(name).suffix.lower() in VIDEOS):
                path = Path(root, name)
                yield _of_file(path, str(path.relative_to(folder)))


def _not_listed(error: OSError) -> None:
    raise UserError(f"{shown(error.filename)} cannot be listed: {error.strerror}")


def _of_file(path: Path, place: str) -> Item:
    return Item(str(path), "video" if _is_video(path) else "picture", place)


def _is_video(path: Path) -> bool:
    """By the first bytes, else by the name: a picture may be called .mp4, and a .mjpeg is one JPEG after the
    other. A pipe or a device is listed as a picture, and reading it says what it is."""
    if (fault := fault_of(path)) and fault.reason == SPECIAL:
        return False
    try:
        with path.open("rb") as file:
            kind = kind_of(file.read(ENOUGH))
    except OSError:
        kind = None
    suffix = path.suffix.lower()
    return kind in FILMS or suffix == ".mjpeg" or kind != "picture" and suffix in VIDEOS
