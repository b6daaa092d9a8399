"""Unpack an untrusted zip: completely, and into one folder only, or not at all."""

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
# With bzip2 and LZMA, zipfile may unpack far more into memory than one read asks for.
METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
# zipfile checks little of what it reads: a damaged archive raises any of these.
DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, OverflowError, RuntimeError)


class ArchiveError(UserError):
    """An archive that must not be unpacked: a member is a link or leaves the folder, or it is too big."""


class BrokenArchive(ArchiveError):
    """The file is truncated, damaged, or not a zip: it must be downloaded again."""


def unpack(zip_path: Path, target: Path, max_bytes: int, max_members: int = MAX_MEMBERS) -> None:
    """Unpack `zip_path` into the new folder `target`, which afterwards is complete or does not exist.

    All members' paths, kinds and declared sizes are checked before anything is written, and no more is
    written than declared: at most `max_bytes` in all. Only one call at a time may use a `target`.

    Raises:
        ArchiveError: a member must not be unpacked, or there are too many or too large ones.
        BrokenArchive: the file is damaged or not a zip.
        DiskError: the disk is full or cannot be written.
        FileExistsError: `target` already exists.
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
    """Check all members; return the bytes that the archive declares to unpack to. Raises ArchiveError."""
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
    """Why a member must not be unpacked; "" if it may."""
    name = member.orig_filename  # as stored; zipfile's `filename` is cut at a NUL
    parts = PurePosixPath(name).parts
    kind = stat.S_IFMT(member.external_attr >> 16)
    if not parts or "\0" in name or name.startswith("/") or re.match("[A-Za-z]:", name) or ".." in parts:
        return "leads out of the folder or is not a path"
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
    """A member's path.

    zipfile decodes a name without the UTF-8 flag by code page 437, but some programs write UTF-8 without the
    flag, or their country's code page; Korea's is recognised.
    """
    if member.flag_bits & IN_UTF8 or member.filename != member.orig_filename:
        return member.filename
    raw = member.filename.encode("cp437")
    with suppress(UnicodeDecodeError):
        return raw.decode("utf-8")
    with suppress(UnicodeDecodeError):
        korean = raw.decode("euc_kr")  # a syllable's two bytes are box-drawing characters in code page 437
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
        raise zipfile.BadZipFile(f"{member.filename[:200]} does not have the size that the archive declares")


def _copy(packed: IO[bytes], file: IO[bytes], size: int) -> int:
    """Copy at most `size` bytes; return how many were read, which is more than `size` if there are more."""
    n_read = 0
    while n_read <= size and (chunk := packed.read(CHUNK)):
        n_read += len(chunk)
        file.write(chunk[: max(0, size - n_read + len(chunk))])
    return n_read
