"""Interpret names of files and folders: splits, files that operating systems leave, picture formats."""

import os
import re
import unicodedata

SPLIT_ALIASES = {"train": "train", "training": "train", "test": "test", "testing": "test", "holdout": "test"}
SPLIT_ALIASES |= {"heldout": "test", "val": "val", "valid": "val", "validation": "val", "dev": "val"}
SPLIT_ALIASES |= {"devel": "val", "development": "val", "publictest": "val", "privatetest": "test"}
HINTS = {*SPLIT_ALIASES, "eval", "evaluation"}  # the last two could mean validation or test
NOUNS = {"set", "split", "data", "images"}  # as in test_set, "Train data"
IGNORED_FILES = {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"}
IGNORED_FOLDERS = {"@eadir", "#recycle", "@recycle", "#snapshot", "$recycle.bin", "recycler", "lost+found"}
IGNORED_FOLDERS |= {"__macosx", "system volume information"}
SUFFIX = re.compile(
    r"\.(jpe?g|jfif|png|gif|bmp|webp|tiff?|avif|hei[cf]|jp2|p[bgpn]m|ico|tga)(?![a-z0-9])", re.ASCII
)


def split_of(name: str) -> str | None:
    """The split that a folder or a value of a table names: train, val or test; None if unknown."""
    words = re.split(r"[\s_-]+", name.strip().lower())
    while len(words) > 1 and words[-1] in NOUNS:
        words.pop()
    whole = "".join(words)
    return SPLIT_ALIASES.get(whole) or SPLIT_ALIASES.get(whole.removesuffix("set"))


def hints_at_split(name: str) -> bool:
    """Whether a folder's name, such as `my_test2`, contains a word for a split but names none itself."""
    words = {SPLIT_ALIASES.get(word, word) for word in re.split(r"[\W\d_]+", name.lower()) if word in HINTS}
    return split_of(name) is None and len(words) == 1


def is_ignored(name: str, folder: bool = False) -> bool:
    """Whether a file (or folder) of this name is hidden, or one that operating systems leave everywhere."""
    lower = name.lower()
    if folder:
        return name.startswith(".") or lower in IGNORED_FOLDERS
    return lower in IGNORED_FILES or name.startswith("._") or (name.startswith(".") and not suffix_of(name))


def suffix_of(name: str) -> str:
    """The suffix of a picture's name in lower case, such as ".jpg" of `a.JPG?size=2`; "" without one."""
    suffixes = list(SUFFIX.finditer(name.lower()))
    return suffixes[-1][0] if suffixes else ""


def counted(number: int, noun: str) -> str:
    """`1 file`, `2 files`, `1,000 files`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def shown(path: str | os.PathLike[str]) -> str:
    """A path as text for any file and terminal: bytes that are not UTF-8 and unprintable characters are
    escaped, as in `\\xb1\\xe8.jpg`."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(_escaped(c) if unicodedata.category(c) in ("Cc", "Zl", "Zp") else c for c in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
