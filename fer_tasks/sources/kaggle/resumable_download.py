"""Download one large file, resuming where an earlier attempt was cut off.

<target>.part        the bytes so far
<target>.part.json   the server's headers about the whole file, to recognise it when resuming
"""

import base64
import hashlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, NoReturn

import requests

from fer_tasks.errors import writing_to
from fer_tasks.network import (
    Patience,
    Refused,
    TryAgain,
    host_of,
    is_page,
    reaching,
    refuse_for_now,
)
from fer_tasks.sources.kaggle.key import NOBODY

CHUNK = 1 << 16  # bytes; a cut connection loses less than one
Progress = Callable[[int, int], None]  # bytes so far, bytes in all (0 if unknown)


class RemoteFile(NamedTuple):
    """The whole file as the server's headers describe it; "" and 0 where they do not."""

    etag: str = ""
    md5: str = ""  # base64, as in X-Goog-Hash
    total: int = 0  # bytes


def transfer(url: str, target: Path, max_bytes: int, patience: Patience, progress: Progress) -> None:
    """Make one attempt to download `url` to `target`, without any key; a later attempt resumes it.

    Afterwards `target` has the size and the MD5 that the server declared, or does not exist. A file larger
    than `max_bytes` is refused; if the server declares no size, as soon as more bytes arrive. `progress` is
    called for every chunk.

    Raises:
        TryAgain: a temporary fault; another attempt may help.
        Refused: another attempt would not help.
        DiskError: the disk is full or cannot be written.
    """
    part = target.with_name(target.name + ".part")
    with writing_to(target.parent, 0):
        target.parent.mkdir(parents=True, exist_ok=True)
        done, whole = _read_part(part)
    if not whole.total or done != whole.total:
        with reaching(url, patience), _request(url, done, whole, patience) as reply:
            start, whole = _read_head(reply, part, (done, whole), patience)
            if whole.total > max_bytes:
                raise _too_large(url, f"{whole.total:,} bytes", max_bytes)
            with writing_to(target.parent, whole.total):
                done = _receive(reply, part, (start, whole), whole.total or max_bytes, progress)
            if not whole.total and done > max_bytes:
                part.unlink()
                _note(part).unlink()
                raise _too_large(url, "more", max_bytes)
    _check(part, whole)
    with writing_to(target.parent, whole.total):
        os.replace(part, target)
        _note(part).unlink(missing_ok=True)


def _too_large(url: str, size: str, max_bytes: int) -> Refused:
    allowed = f"at most {max_bytes:,} bytes are allowed (`max_bytes` of the source)"
    return Refused(f"{host_of(url)} sends a file of {size}; {allowed}")


def _request(url: str, done: int, whole: RemoteFile, patience: Patience) -> requests.Response:
    headers = {"Accept-Encoding": "identity"}  # lengths, ranges and the MD5 are those of the bytes as stored
    if done:
        headers["Range"] = f"bytes={done}-"
        if whole.etag.startswith('"'):  # a weak ETag must not be sent
            headers["If-Range"] = whole.etag
    return requests.get(
        url, headers=headers, auth=NOBODY, stream=True, timeout=patience[:2], allow_redirects=False
    )


def _read_head(
    reply: requests.Response, part: Path, begun: tuple[int, RemoteFile], patience: Patience
) -> tuple[int, RemoteFile]:
    """The offset at which the reply's body starts, and the whole file as it is now described.

    `begun`: the number of bytes of earlier attempts, and their file.
    """
    done, before = begun
    refuse_for_now(reply, patience)
    host = host_of(reply.url)
    if reply.headers.get("Content-Encoding", "identity") != "identity":
        raise Refused(f"{host} sends the file compressed; is a proxy in between?")
    match reply.status_code:
        case 200 if is_page(reply):
            raise Refused(f"{host} sends a web page instead of the file; is a proxy in between?")
        case 200:
            return 0, _whole(reply, _length(reply))
        case 206 if done:
            total, is_rest = _rest(reply, done)
        case 416 if done:  # nothing is left to send: all bytes are already downloaded
            total, is_rest = _nothing_left(reply, done)
        case status:
            # A link expires after a while; the next attempt asks Kaggle for a new one.
            raise TryAgain(f"{host} answered {status} to the link that Kaggle gave")
    if not is_rest:
        _start_over(part, f"{host} sent another part of the file than the bytes from {done} on")
    now = _whole(reply, total)
    if any(old and new and old != new for old, new in zip(before, now, strict=True)):
        _start_over(part, f"{host} holds another file than before")
    return done, RemoteFile(now.etag or before.etag, now.md5 or before.md5, total)


def _rest(reply: requests.Response, done: int) -> tuple[int, bool]:
    """The file's size by the Content-Range of a 206, and whether that covers all bytes from `done` on."""
    match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", reply.headers.get("Content-Range", ""))
    first, last, total = map(int, match.groups()) if match else (0, 0, 0)
    return total, (first, last) == (done, total - 1)


def _nothing_left(reply: requests.Response, done: int) -> tuple[int, bool]:
    """The file's size by the Content-Range of a 416, and whether `done` bytes are all of it."""
    match = re.fullmatch(r"bytes \*/(\d+)", reply.headers.get("Content-Range", ""))
    total = int(match[1]) if match else 0
    return total, total == done


def _length(reply: requests.Response) -> int:
    length = reply.headers.get("Content-Length", "")
    return int(length) if length.isascii() and length.isdigit() else 0


def _whole(reply: requests.Response, total: int) -> RemoteFile:
    hashes = re.search(r"(?:^|[,\s])md5=([A-Za-z0-9+/=]+)", reply.headers.get("X-Goog-Hash", ""))
    return RemoteFile(reply.headers.get("ETag", ""), hashes[1] if hashes else "", total)


def _receive(
    reply: requests.Response, part: Path, begun: tuple[int, RemoteFile], most: int, progress: Progress
) -> int:
    """Append the body to the partial file, which stops once it exceeds `most` bytes; return its size."""
    done, whole = begun
    if not done:
        part.unlink(missing_ok=True)  # first, so that an old part is never described by a new note
    _note(part).write_text(json.dumps(whole._asdict()))
    progress(done, whole.total)
    if reply.status_code == 416:
        return done
    with part.open("ab") as file:
        for chunk in reply.iter_content(CHUNK):
            file.write(chunk)
            done += len(chunk)
            progress(done, whole.total)
            if done > most:
                break
    return done


def _check(part: Path, whole: RemoteFile) -> None:
    size = part.stat().st_size if part.exists() else 0
    if whole.total and size < whole.total:
        raise TryAgain(f"the download was cut after {size:,} of {whole.total:,} bytes")
    if whole.total and size > whole.total:
        _start_over(part, f"{size:,} bytes arrived of a file of {whole.total:,}")
    if whole.md5:
        with part.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).digest()
        if base64.b64encode(digest).decode() != whole.md5:
            _start_over(part, "the file arrived damaged: its MD5 is not the one that the server declared")


def _start_over(part: Path, why: str) -> NoReturn:
    part.unlink(missing_ok=True)
    _note(part).unlink(missing_ok=True)
    raise TryAgain(f"{why}; the next attempt starts over")


def _read_part(part: Path) -> tuple[int, RemoteFile]:
    """The number of bytes of earlier attempts, and their file; a part without its note is not used."""
    try:
        return part.stat().st_size, RemoteFile(**json.loads(_note(part).read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return 0, RemoteFile()


def _note(part: Path) -> Path:
    return part.with_name(part.name + ".json")
