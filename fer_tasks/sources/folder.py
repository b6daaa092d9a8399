"""List the pictures of a folder of class folders, or of a table with the columns file and label."""

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
from fer_tasks.sources.listing import CLASSES, NUMBERED, NUMBERS, Listing, as_listing
from fer_tasks.sources.names import hints_at_split, is_ignored, shown, split_of
from fer_tasks.sources.verdict import Verdict, fault_of, unused

DEPTH = 3  # levels of folders that are searched for class folders
RENAME = "rename it to train, val or test, or move it out of the source"
COPY = "copy the files here (cp -rL), or write a table of file and label"
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")
# FER2013's own file names, which distinguish its public and private test splits where both lie in test/.
FER2013 = re.compile(r"(Training|PublicTest|PrivateTest)_\d+\.(?:jpg|png)")
# (split by the folders, name) -> split
BY_NAME = {("", "Training"): "train", ("", "PublicTest"): "val", ("", "PrivateTest"): "test"}
BY_NAME |= {("test", "PublicTest"): "val"}

TOO_DEEP = f"its class folder lies more than {DEPTH} folders deep"

Parents = tuple[str, ...]  # the names of the folders between the source and a file


class Subfolders(NamedTuple):
    """The kinds of folders in one folder."""

    splits: tuple[str, ...]  # those with a split's name
    only_splits: bool  # whether these are splits: in a class folder, `dev` beside others may be a person
    has_class: bool  # whether one of them is a class folder


Tree = Mapping[Parents, Subfolders]


def list_pictures(source: Path) -> Listing:
    """List the pictures of a folder or a table, without decoding them.

    Raises:
        SourceError: the source does not exist or is of another kind, or no picture can be used.
    """
    check(source)
    return require_pictures(source, list_folder(source) if source.is_dir() else list_table(source))


def require_pictures(source: Path, listing: Listing) -> Listing:
    """Return the listing.

    Raises:
        SourceError: it has no picture; the message states the most frequent cause.
    """
    if listing.pictures.empty:
        why = "; ".join([_why_none(source, listing.rejected), *listing.notes])
        raise SourceError(f"download.source: {why}")
    return listing


def list_folder(root: Path, but: Collection[Path] = ()) -> Listing:
    """List a folder of class folders, except the files `but`; the listing may have no picture."""
    ignored: list[Path] = []
    entries = [(path, fault) for path, fault in _walk(root, ignored) if path not in but]
    tree = _tree([path.relative_to(root).parts[:-1] for path, _ in entries])
    verdicts = _by_name([(path, fault or _verdict(root, path, tree)) for path, fault in entries])
    named = [(shown(path.relative_to(root).as_posix()), path, verdict) for path, verdict in verdicts]
    notes = _no_splits(tree)
    notes += [note for path, fault in entries if not fault and (note := note_unread(path))]
    if ignored:
        examples = _some([shown(path.relative_to(root)) for path in ignored])
        notes.append(f"folders ignored, as hidden or an operating system's: {examples}")
    return as_listing(named, notes)


def _tree(all_parents: Iterable[Parents]) -> Tree:
    names_in: dict[Parents, set[str]] = {}
    for parents in set(all_parents):
        for i, name in enumerate(parents):
            names_in.setdefault(parents[:i], set()).add(name)
    return {parents: _subfolders(sorted(names)) for parents, names in names_in.items()}


def _subfolders(names: list[str]) -> Subfolders:
    named_splits = {split_of(name) for name in names}
    splits = tuple(name for name in names if split_of(name))
    only_splits = None not in named_splits or len(named_splits) > 2
    return Subfolders(splits, only_splits, any(map(expression_of, names)))


def _no_splits(tree: Tree) -> list[str]:
    """A note on folders inside class folders that have a split's name but are not splits."""
    names = [
        shown("/".join([*parents, name]))
        for parents, subfolders in sorted(tree.items())
        if _class_of(parents) and not subfolders.only_splits
        for name in subfolders.splits
    ]
    return (
        [f"not used as splits, since the folders beside them are not splits: {_some(names)}"] if names else []
    )


def fingerprint(source: Path) -> str:
    """16 hex digits that change with the names, sizes and modification times of a source's files.

    The files are not read.

    Raises:
        SourceError: the source does not exist, or is neither a folder nor a file.
    """
    if not os.path.isfile(source):
        check(source)
    files = [path for path, _ in _walk(source, [])] if source.is_dir() else _files_of(source)
    return hashlib.sha256(repr([_stamp(path) for path in sorted(files)]).encode()).hexdigest()[:16]


def _files_of(source: Path) -> list[Path]:
    """A file and the files that it depends on: the pictures that a label table names; for FER2013's pixels
    the tables beside it, one of which may hold the votes."""
    if is_label_table(source):
        return [source, *pictures_behind(source)]
    beside = source.parent.glob("*.[ct]sv") if table.is_table(source) else ()
    return [source, *(path for path in beside if path != source)]


def check(source: Path) -> None:
    """Check that a source is a folder or a table.

    Raises:
        SourceError: it is something else, or does not exist.
    """
    if os.path.isdir(source) or table.is_table(source):
        return
    if not os.path.lexists(source):
        raise SourceError(f"download.source: {source} does not exist; {_nearest(source)}")
    if source.suffix.lower() in ARCHIVES:
        raise SourceError(f"download.source: {source} is an archive; unpack it and name the folder")
    kind = "is a file" if os.path.isfile(source) else "is neither a file nor a folder"
    raise SourceError(
        f"download.source: {source} {kind}; name a folder of class folders, a table (.csv, .tsv) with the "
        "columns file and label, or a description in sources/ (.yaml)"
    )


def _stamp(path: Path) -> tuple[str, int, int]:
    try:
        status = os.stat(path) if os.path.exists(path) else os.lstat(path)
    except (OSError, ValueError):  # no such file, or an impossible name
        return str(path), 0, 0
    return str(path), status.st_size, status.st_mtime_ns


def _walk(root: Path, ignored: list[Path]) -> Iterator[tuple[Path, Verdict | None]]:
    """Yield every file and linked folder below `root` that is not ignored, and every folder that cannot be
    read, with that fault. Ignored folders are added to `ignored`."""
    errors: list[OSError] = []
    for path, names, files in os.walk(root, onerror=errors.append):
        folder = Path(path)
        ignored += [folder / name for name in sorted(names) if is_ignored(name, folder=True)]
        names[:] = sorted(name for name in names if not is_ignored(name, folder=True))
        yield from ((folder / name, None) for name in files if not is_ignored(name))
        # os.walk does not enter links.
        yield from ((folder / name, None) for name in names if os.path.islink(folder / name))
    for error in errors:
        yield Path(error.filename), unused("unreadable", f"a folder that cannot be read: {error.strerror}")


def _verdict(root: Path, path: Path, tree: Tree) -> Verdict:
    """The verdict on a file by the folders that it lies in."""
    if os.path.islink(path) and _leads_out(path, root):
        return unused("link_not_followed", f"links to {shown(os.path.realpath(path))}")
    if fault := fault_of(path):
        return fault
    if path.name.startswith("."):
        return unused("hidden_file", "its name begins with a dot")
    parents = path.relative_to(root).parts[:-1]
    if class_folder := _class_of(parents):
        return _in_class_folder(parents, *class_folder, tree)
    if deep := next((i for i, name in enumerate(parents) if expression_of(name)), 0):
        holder = root.joinpath(*parents[: deep - 1 if split_of(parents[deep - 1]) else deep])
        return unused("unknown_class", f"{TOO_DEEP}; name {shown(holder)} as the source")
    if unknown := _unknown_class(parents, tree):
        return unused("unknown_class", f"folder {shown(unknown)!r}; {CLASSES}")
    return unused("no_class_folder", f"not in a class folder; {CLASSES}")


def _class_of(parents: Parents) -> tuple[int, str] | None:
    """The index of the class folder among the parents, and its class; None if there is none."""
    labels = ((i, expression_of(name)) for i, name in enumerate(parents[:DEPTH]))
    return next(((i, label) for i, label in labels if label), None)


def _unknown_class(parents: Parents, tree: Tree) -> str:
    """The folder that should be a class folder: the one beside class folders, else the last one that is not
    a split's; "" if all are splits'."""
    names = [(i, name) for i, name in enumerate(parents) if not split_of(name)]
    beside = (name for i, name in names if tree[parents[:i]].has_class)
    return next(beside, names[-1][1] if names else "")


def _leads_out(path: Path, root: Path) -> bool:
    return os.path.isdir(path) or not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))


def _in_class_folder(parents: Parents, at: int, label: str, tree: Tree) -> Verdict:
    """The verdict on a file in the class folder `parents[at]`. A folder that must be a split, judging by its
    name or by the folders beside it, must have a known split's name."""
    splits = {}
    for i, name in enumerate(parents):
        subfolders = tree[parents[:i]]
        if i > at and not subfolders.only_splits:
            continue
        if split := split_of(name):
            splits[split] = name
        elif (subfolders.splits or (i < at and hints_at_split(name))) and not expression_of(name):
            return unused("unknown_split", f"folder {shown(name)!r}; {RENAME}")
    if len(splits) > 1:
        return unused("unknown_split", f"lies in {' and '.join(map(repr, splits.values()))}; {RENAME}")
    return Verdict(label, next(iter(splits), ""))


def _by_name(verdicts: list[tuple[Path, Verdict]]) -> list[tuple[Path, Verdict]]:
    """Correct the splits by BY_NAME if most pictures have FER2013's own file names: some of those in test/
    are the public test split, and pictures outside any split's folder get the split of their name."""
    names = [match[1] if (match := FER2013.fullmatch(path.name)) else "" for path, _ in verdicts]
    pictures = sum(bool(verdict.label) for _, verdict in verdicts)
    named = sum(bool(name and verdict.label) for name, (_, verdict) in zip(names, verdicts, strict=True))
    if 2 * named <= pictures:
        return verdicts
    return [
        (path, verdict._replace(split=BY_NAME.get((verdict.split, name), verdict.split)))
        for name, (path, verdict) in zip(names, verdicts, strict=True)
    ]


def _why_none(source: Path, rejected: pd.DataFrame) -> str:
    """Why nothing in a source can be used, and how to fix it."""
    if rejected.empty and not source.is_dir():
        return f"{source} has no row below its header"
    if rejected.empty:
        return f"{source} is empty; put pictures into class folders: {CLASSES}"
    reasons = rejected["reason"].value_counts()
    first = rejected[rejected["reason"] == reasons.index[0]].iloc[0]
    if source.is_dir() and set(reasons.index) <= {"unknown_class", "no_class_folder"}:
        return _why_no_class(source, rejected)
    if set(reasons.index) == {"link_not_followed"}:
        link = f"{first['source']}, which {first['detail']}"
        return f"{source} contains only links that lead out of it, such as {link}; {COPY}"
    counts = ", ".join(f"{reason} {n}" for reason, n in reasons.items())
    kind = "file in" if source.is_dir() else "row of"
    return f"no {kind} {source} can be used ({counts}), such as {first['source']}: {first['detail']}"


def _why_no_class(source: Path, rejected: pd.DataFrame) -> str:
    entries = sorted({name.split("/")[0] for name in rejected["source"]})
    fault = f"{source} has no class folder"
    if archives := [name for name in entries if name.lower().endswith(ARCHIVES)]:
        return f"{fault}; unpack {_some(archives)} there"
    if tables := [name for name in entries if is_label_table(source / name)]:
        return f"{fault}, but a table of file and label: name {source / tables[0]} as the source"
    if deep := next((detail for detail in rejected["detail"] if detail.startswith(TOO_DEEP)), ""):
        return f"{fault} in its upper {DEPTH} levels; {deep.split('; ')[1]}"
    numbers = f"; {NUMBERS}" if rejected["detail"].str.match(NUMBERED).any() else ""
    return f"{fault} (it has: {', '.join(entries[:8])}); {CLASSES}{numbers}"


def _some(names: list[str]) -> str:
    more = len(names) - 3
    return ", ".join(names[:3]) + (f" and {more} more" if more > 0 else "")


def _nearest(path: Path) -> str:
    parent = next(folder for folder in path.absolute().parents if os.path.isdir(folder))
    names = os.listdir(parent) if os.access(parent, os.R_OK) else []
    close = difflib.get_close_matches(path.absolute().relative_to(parent).parts[0], names, n=1)
    return f"did you mean {parent / close[0]}?" if close else f"the nearest folder that exists is {parent}"
