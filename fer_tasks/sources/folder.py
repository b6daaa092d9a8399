"""List the pictures of a folder of class folders, or of a table of file and label."""

import difflib
import hashlib
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from fer_tasks.labels import expression_of
from fer_tasks.sources import table
from fer_tasks.sources.errors import SourceError
from fer_tasks.sources.fer2013 import note_unread
from fer_tasks.sources.label_table import is_label_table, list_table, pictures_behind
from fer_tasks.sources.listing import (
    KNOWN,
    NUMBERED,
    NUMBERS,
    Listing,
    Verdict,
    as_listing,
    fault_of,
    unused,
)
from fer_tasks.sources.names import hints_at_split, is_litter, shown, split_of

DEPTH = 3  # class folders are looked for so many levels down
RENAME = "rename it to train, val or test, or move it out of the source"
COPY = "copy the files here (cp -rL), or write a table of file and label"
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")
# FER2013's own names, which tell the public from the private test split where both lie in test/.
FER2013 = re.compile(r"(Training|PublicTest|PrivateTest)_\d+\.(?:jpg|png)")
BY_NAME = {("", "Training"): "train", ("", "PublicTest"): "val", ("", "PrivateTest"): "test"}
BY_NAME |= {("test", "PublicTest"): "val"}

TOO_DEEP = f"its class folder lies more than {DEPTH} folders deep"

Way = tuple[str, ...]  # the names of the folders from the source's to a file


class Inside(NamedTuple):
    """The kinds of folders in one folder."""

    splits: tuple[str, ...]  # those with a split's name
    only_splits: bool  # do they stand for splits? In a class folder `dev` beside others may be a person
    has_class: bool


Folders = Mapping[Way, Inside]


def list_pictures(source: Path) -> Listing:
    """List a folder or a table; nothing is decoded. Raises SourceError if no picture can be used."""
    check(source)
    return require_pictures(source, list_folder(source) if source.is_dir() else list_table(source))


def require_pictures(source: Path, listing: Listing) -> Listing:
    """Return the listing. Raises SourceError if it has no picture."""
    if listing.pictures.empty:
        why = "; ".join([_why_none(source, listing.rejected), *listing.notes])
        raise SourceError(f"download.source: {why}")
    return listing


def list_folder(root: Path, but: Collection[Path] = ()) -> Listing:
    """List a folder of class folders without the files `but`; it may have no picture."""
    passed_over: list[Path] = []
    entries = [(path, fault) for path, fault in _walk(root, passed_over) if path not in but]
    folders = _folders([path.relative_to(root).parts[:-1] for path, _ in entries])
    found = [(path, fault or _verdict(root, path, folders)) for path, fault in entries]
    named = [(shown(path.relative_to(root).as_posix()), path, fault) for path, fault in _by_name(found)]
    left_out = _some([shown(path.relative_to(root)) for path in passed_over])
    notes = _no_splits(folders)
    notes += [note for path, fault in entries if not fault and (note := note_unread(path))]
    notes += [f"left out, as hidden or litter: {left_out}"] if passed_over else []
    return as_listing(named, notes)


def _folders(ways: Iterable[Way]) -> Folders:
    folders: dict[Way, set[str]] = {}
    for way in set(ways):
        for i, name in enumerate(way):
            folders.setdefault(way[:i], set()).add(name)
    return {way: _inside(sorted(names)) for way, names in folders.items()}


def _inside(names: list[str]) -> Inside:
    found = {split_of(name) for name in names}
    splits = tuple(name for name in names if split_of(name))
    return Inside(splits, None not in found or len(found) > 2, any(map(expression_of, names)))


def _no_splits(folders: Folders) -> list[str]:
    """A note on folders inside class folders that have a split's name but are not splits."""
    names = [
        shown("/".join([*way, name]))
        for way, inside in sorted(folders.items())
        if _class_of(way) and not inside.only_splits
        for name in inside.splits
    ]
    return (
        [f"not used as splits, since the folders beside them are not splits: {_some(names)}"] if names else []
    )


def fingerprint(source: Path) -> str:
    """16 hex digits that change with the names, sizes and times of a source's files; not their content."""
    if not os.path.isfile(source):
        check(source)
    files = [path for path, _ in _walk(source, [])] if source.is_dir() else _files_of(source)
    return hashlib.sha256(repr([_stamp(path) for path in sorted(files)]).encode()).hexdigest()[:16]


def _files_of(source: Path) -> list[Path]:
    """A file and those that it stands for: the pictures that a table names, or, for FER2013's pixels, the
    tables beside it, one of which may hold the votes."""
    if is_label_table(source):
        return [source, *pictures_behind(source)]
    beside = source.parent.glob("*.[ct]sv") if table.is_table(source) else ()
    return [source, *(path for path in beside if path != source)]


def check(source: Path) -> None:
    """Raise SourceError if `source` is neither a folder nor a table."""
    if os.path.isdir(source) or table.is_table(source):
        return
    if not os.path.lexists(source):
        raise SourceError(f"download.source: {source} does not exist; {_nearest(source)}")
    if source.suffix.lower() in ARCHIVES:
        raise SourceError(f"download.source: {source} is an archive; unpack it, and name the folder")
    kind = "is a file" if os.path.isfile(source) else "is neither a file nor a folder"
    raise SourceError(
        f"download.source: {source} {kind}; name a folder of class folders, a table (.csv, .tsv) with the "
        "columns file and label, or a description in sources/ (.yaml)"
    )


def _stamp(path: Path) -> tuple[str, int, int]:
    try:
        about = os.stat(path) if os.path.exists(path) else os.lstat(path)
    except (OSError, ValueError):  # no such file, or none that could be
        return str(path), 0, 0
    return str(path), about.st_size, about.st_mtime_ns


def _walk(root: Path, passed_over: list[Path]) -> Iterator[tuple[Path, Verdict | None]]:
    """Every file and linked folder below `root` that is no litter, and every folder that cannot be read, with
    that fault. Folders that are hidden or litter are added to `passed_over`."""
    errors: list[OSError] = []
    for folder, names, files in os.walk(root, onerror=errors.append):
        here = Path(folder)
        passed_over += [here / name for name in sorted(names) if is_litter(name, folder=True)]
        names[:] = sorted(name for name in names if not is_litter(name, folder=True))
        yield from ((here / name, None) for name in files if not is_litter(name))
        # os.walk does not enter links.
        yield from ((here / name, None) for name in names if os.path.islink(here / name))
    for error in errors:
        yield Path(error.filename), unused("unreadable", f"a folder that cannot be read: {error.strerror}")


def _verdict(root: Path, path: Path, folders: Folders) -> Verdict:
    """The verdict on a file by its place."""
    if os.path.islink(path) and _leads_out(path, root):
        return unused("link_not_followed", f"links to {shown(os.path.realpath(path))}")
    if fault := fault_of(path):
        return fault
    if path.name.startswith("."):
        return unused("hidden_file", "its name begins with a dot")
    way = path.relative_to(root).parts[:-1]
    if found := _class_of(way):
        return _of_class(way, *found, folders)
    if deep := next((i for i, name in enumerate(way) if expression_of(name)), 0):
        holder = root.joinpath(*way[: deep - 1 if split_of(way[deep - 1]) else deep])
        return unused("unknown_class", f"{TOO_DEEP}; name {shown(holder)} as the source")
    if unknown := _unknown(way, folders):
        return unused("unknown_class", f"folder {shown(unknown)!r}; {KNOWN}")
    return unused("no_class_folder", f"lies in no class folder; {KNOWN}")


def _class_of(way: Way) -> tuple[int, str] | None:
    """Which of the folders on the way is the class folder, and its class."""
    return next(((i, label) for i, name in enumerate(way[:DEPTH]) if (label := expression_of(name))), None)


def _unknown(way: Way, folders: Folders) -> str:
    """The folder that should be a class folder: the one beside class folders, or the last; "" if it is a
    split's."""
    names = [(i, name) for i, name in enumerate(way) if not split_of(name)]
    beside = (name for i, name in names if folders[way[:i]].has_class)
    return next(beside, names[-1][1] if names else "")


def _leads_out(path: Path, root: Path) -> bool:
    return os.path.isdir(path) or not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))


def _of_class(way: Way, at: int, label: str, folders: Folders) -> Verdict:
    """The verdict on a file of the class folder `way[at]`. A folder that must be a split, by its name or by
    those beside it, must be one that is known."""
    splits = {}
    for i, name in enumerate(way):
        inside = folders[way[:i]]
        if i > at and not inside.only_splits:
            continue
        if split := split_of(name):
            splits[split] = name
        elif (inside.splits or (i < at and hints_at_split(name))) and not expression_of(name):
            return unused("unknown_split", f"folder {shown(name)!r}; {RENAME}")
    if len(splits) > 1:
        return unused("unknown_split", f"lies in {' and '.join(map(repr, splits.values()))}; {RENAME}")
    return Verdict(label, next(iter(splits), ""))


def _by_name(found: list[tuple[Path, Verdict]]) -> list[tuple[Path, Verdict]]:
    """The same, where most pictures have FER2013's own names by what these say: of those in test/ some are
    the public test split, and those in no split's folder have the one of their name."""
    names = [met[1] if (met := FER2013.fullmatch(path.name)) else "" for path, _ in found]
    pictures = sum(bool(verdict.label) for _, verdict in found)
    if (
        2 * sum(bool(name and verdict.label) for name, (_, verdict) in zip(names, found, strict=True))
        <= pictures
    ):
        return found
    return [
        (path, verdict._replace(split=BY_NAME.get((verdict.split, name), verdict.split)))
        for name, (path, verdict) in zip(names, found, strict=True)
    ]


def _why_none(source: Path, rejected: pd.DataFrame) -> str:
    """Why nothing in a source can be used, and what would be right."""
    if rejected.empty and not source.is_dir():
        return f"{source} has no row below its header"
    if rejected.empty:
        return f"{source} is empty; put pictures into class folders: {KNOWN}"
    reasons = rejected["reason"].value_counts()
    first = rejected[rejected["reason"] == reasons.index[0]].iloc[0]
    if source.is_dir() and set(reasons.index) <= {"unknown_class", "no_class_folder"}:
        return _why_no_class(source, rejected)
    if set(reasons.index) == {"link_not_followed"}:
        link = f"{first['source']}, which {first['detail']}"
        return f"{source} holds nothing but links that lead out of it, such as {link}; {COPY}"
    counts = ", ".join(f"{reason} {n}" for reason, n in reasons.items())
    kind = "file in" if source.is_dir() else "row of"
    return f"no {kind} {source} can be used ({counts}), such as {first['source']}: {first['detail']}"


def _why_no_class(source: Path, rejected: pd.DataFrame) -> str:
    met = sorted({name.split("/")[0] for name in rejected["source"]})
    begin = f"{source} holds no class folder"
    if archives := [name for name in met if name.lower().endswith(ARCHIVES)]:
        return f"{begin}; unpack {_some(archives)} there"
    if tables := [name for name in met if is_label_table(source / name)]:
        return f"{begin}, but a table of file and label: name {source / tables[0]}"
    if deep := next((detail for detail in rejected["detail"] if detail.startswith(TOO_DEEP)), ""):
        return f"{begin} in its upper {DEPTH} levels; {deep.split('; ')[1]}"
    numbers = f"; {NUMBERS}" if rejected["detail"].str.match(NUMBERED).any() else ""
    return f"{begin} (it has: {', '.join(met[:8])}); {KNOWN}{numbers}"


def _some(names: list[str]) -> str:
    more = len(names) - 3
    return ", ".join(names[:3]) + (f" and {more} more" if more > 0 else "")


def _nearest(path: Path) -> str:
    parent = next(folder for folder in path.absolute().parents if os.path.isdir(folder))
    known = os.listdir(parent) if os.access(parent, os.R_OK) else []
    close = difflib.get_close_matches(path.absolute().relative_to(parent).parts[0], known, n=1)
    return f"did you mean {parent / close[0]}?" if close else f"the nearest folder there is: {parent}"
