"""Unpack an untrusted zip: all of it, into one folder and nowhere else, or nothing."""

import re
import shutil
import stat
import struct
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import IO

from fer_tasks.errors import UserError, writing_to

MAX_MEMBERS = 1_000_000
MAX_DEPTH = 32  # folders in a member's path
CHUNK = 1 << 16  # bytes
IN_UTF8 = 0x800  # the flag of a member whose name is in UTF-8
# Of these two, zipfile unpacks no more into memory than it is asked for; of bzip2 and LZMA it does.
METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
# zipfile checks little of what it reads: a damaged archive ends in any of these.
DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, OverflowError, RuntimeError)


class ArchiveError(UserError):
    """An archive that must not be unpacked: it would leave its folder, holds links, or is too big."""


class BrokenArchive(ArchiveError):
    """The file is truncated, damaged, or not a zip: it must be downloaded again."""


def unpack(zip_path: Path, target: Path, max_bytes: int, max_members: int = MAX_MEMBERS) -> None:
    """Unpack `zip_path` into the new folder `target`, which is whole afterwards or does not exist.

    Nothing is written unless all members' paths, kinds and declared sizes are valid, and no more is written
    than declared. One call at a time for a `target`. Raises ArchiveError, BrokenArchive and
    DiskError, with nothing left behind; FileExistsError where `target` is there already.
    """
    if target.exists():
        raise FileExistsError(f"{target} already exists")
    partial = target.with_name(f".{target.name}.partial")
    try:
        with zipfile.ZipFile(zip_path) as archive:
            needed = _check(archive, zip_path, max_bytes, max_members)
            with writing_to(target.parent, needed):
                shutil.rmtree(partial, ignore_errors=True)  # of a run that was killed
                partial.mkdir(parents=True)
                for member in archive.infolist():
                    _place(archive, member, partial)
                partial.rename(target)
    except DAMAGE as error:
        raise BrokenArchive(f"{zip_path} is damaged or not a zip ({error}); download it again") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _check(archive: zipfile.ZipFile, zip_path: Path, max_bytes: int, max_members: int) -> int:
    """Bytes that the archive says it unpacks to. Raises ArchiveError."""
    members = archive.infolist()
    if len(members) > max_members:
        raise ArchiveError(f"{zip_path} has {len(members):,} members; at most {max_members:,} are unpacked")
    for member in members:
        if fault := _fault(member):
            raise ArchiveError(f"{zip_path}: {member.orig_filename[:200]!r} {fault}; nothing was unpacked")
    needed = sum(member.file_size for member in members)
    if needed > max_bytes:
        raise ArchiveError(f"{zip_path} unpacks to {needed:,} bytes; at most {max_bytes:,} are allowed")
    return needed


def _fault(member: zipfile.ZipInfo) -> str:
    """Why a member must not be unpacked; "" where it may."""
    name = member.orig_filename  # as it lies in the file: zipfile ends it at a NUL
    parts = PurePosixPath(name).parts
    kind = stat.S_IFMT(member.external_attr >> 16)
    if not parts or "\0" in name or name.startswith("/") or re.match("[A-Za-z]:", name) or ".." in parts:
        return "leads out of the folder, or nowhere"
    if "\\" in name:
        return "has a backslash in its path"
    if len(parts) > MAX_DEPTH:
        return f"lies {len(parts)} folders deep; at most {MAX_DEPTH} are unpacked"
    if kind not in (0, stat.S_IFDIR if name.endswith("/") else stat.S_IFREG):
        return "is a link or a special file"
    if member.flag_bits & 1:
        return "is encrypted"
    return "" if member.compress_type in METHODS else "uses an unsupported compression method"


def name_of(member: zipfile.ZipInfo) -> str:
    """A member's path. Where the archive does not say that it is UTF-8, zipfile takes it for code page 437;
    but some programs write UTF-8 all the same, or the code page of their country, such as Korea's."""
    if member.flag_bits & IN_UTF8 or member.filename != member.orig_filename:
        return member.filename
    raw = member.filename.encode("cp437")
    with suppress(UnicodeDecodeError):
        return raw.decode("utf-8")
    with suppress(UnicodeDecodeError):
        korean = raw.decode("euc_kr")  # its two bytes of a syllable are lines of a table in code page 437
        if all(c.isascii() or "\uac00" <= c <= "\ud7a3" for c in korean):
            return korean
    return member.filename


def _place(archive: zipfile.ZipFile, member: zipfile.ZipInfo, root: Path) -> None:
    try:
        _write(archive, member, root)
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise ArchiveError(f"{archive.filename}: two members would be at {member.filename[:200]!r}") from None


def _write(archive: zipfile.ZipFile, member: zipfile.ZipInfo, root: Path) -> None:
    path = root / PurePosixPath(name_of(member))
    if member.is_dir():
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(member) as packed, path.open("xb") as file:  # x: no two members with one path
        written = _copy(packed, file, member.file_size)
    if written != member.file_size:
        raise zipfile.BadZipFile(f"{member.filename[:200]} is not of the size that the archive says")


def _copy(packed: IO[bytes], file: IO[bytes], size: int) -> int:
    """Copy until the end, or until more than `size` bytes came; returns how many came."""
    came = 0
    while came <= size and (chunk := packed.read(CHUNK)):
        came += len(chunk)
        file.write(chunk[: max(0, size - came + len(chunk))])
    return came
