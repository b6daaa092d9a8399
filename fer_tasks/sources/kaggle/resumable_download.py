"""Download one large file, resuming where an earlier attempt was cut off.

<target>.part        the bytes so far
<target>.part.json   what the server said about the whole file, to recognise it when resuming
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


class Whole(NamedTuple):
    """What the server says about the whole file; "" and 0 where it says nothing."""

    etag: str = ""
    md5: str = ""  # base64, as in X-Goog-Hash
    total: int = 0  # bytes


def transfer(url: str, target: Path, max_bytes: int, patience: Patience, progress: Progress) -> None:
    """Make one attempt to download `url` to `target`, without any key; a later attempt resumes there.

    Afterwards `target` has the size and the md5 that the server declared, or does not exist. A file larger
    than `max_bytes` is not downloaded, or no further than that if the server declares no size.

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


def _request(url: str, done: int, whole: Whole, patience: Patience) -> requests.Response:
    headers = {"Accept-Encoding": "identity"}  # lengths, ranges and the md5 are of the bytes as stored
    if done:
        headers["Range"] = f"bytes={done}-"
        if whole.etag.startswith('"'):  # a weak one must not be sent
            headers["If-Range"] = whole.etag
    return requests.get(
        url, headers=headers, auth=NOBODY, stream=True, timeout=patience[:2], allow_redirects=False
    )


def _read_head(
    reply: requests.Response, part: Path, begun: tuple[int, Whole], patience: Patience
) -> tuple[int, Whole]:
    """The offset at which the reply's body starts, and what is now known about the whole file."""
    done, before = begun
    refuse_for_now(reply, patience)
    host = host_of(reply.url)
    if reply.headers.get("Content-Encoding", "identity") != "identity":
        raise Refused(f"{host} sends the file compressed anew; is there a proxy in the way?")
    match reply.status_code:
        case 200 if is_page(reply):
            raise Refused(f"{host} sends a web page instead of the file; is there a proxy in the way?")
        case 200:
            return 0, _whole(reply, _length(reply))
        case 206 if done:
            total, is_rest = _rest(reply, done)
        case 416 if done:  # nothing is left to send: all the bytes are here
            total, is_rest = _nothing_left(reply, done)
        case status:
            # A link is valid for a while only; the next attempt asks Kaggle for a new one.
            raise TryAgain(f"{host} answered {status} to the link that Kaggle gave")
    if not is_rest:
        _start_over(part, f"{host} sent another part of the file than the bytes from {done} on")
    now = _whole(reply, total)
    if any(old and new and old != new for old, new in zip(before, now, strict=True)):
        _start_over(part, f"{host} holds another file than before")
    return done, Whole(now.etag or before.etag, now.md5 or before.md5, total)


def _rest(reply: requests.Response, done: int) -> tuple[int, bool]:
    """The file's size by a 206's Content-Range, and whether it covers all bytes from `done` on."""
    found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", reply.headers.get("Content-Range", ""))
    first, last, total = map(int, found.groups()) if found else (0, 0, 0)
    return total, (first, last) == (done, total - 1)


def _nothing_left(reply: requests.Response, done: int) -> tuple[int, bool]:
    """The file's size by a 416's Content-Range, and whether `done` bytes are all of it."""
    found = re.fullmatch(r"bytes \*/(\d+)", reply.headers.get("Content-Range", ""))
    total = int(found[1]) if found else 0
    return total, total == done


def _length(reply: requests.Response) -> int:
    length = reply.headers.get("Content-Length", "")
    return int(length) if length.isascii() and length.isdigit() else 0


def _whole(reply: requests.Response, total: int) -> Whole:
    hashes = re.search(r"(?:^|[,\s])md5=([A-Za-z0-9+/=]+)", reply.headers.get("X-Goog-Hash", ""))
    return Whole(reply.headers.get("ETag", ""), hashes[1] if hashes else "", total)


def _receive(
    reply: requests.Response, part: Path, begun: tuple[int, Whole], most: int, progress: Progress
) -> int:
    """Append the body to the part until it is larger than `most` bytes; return its size."""
    done, whole = begun
    if not done:
        part.unlink(missing_ok=True)  # first, so that an old part never lies beside a new note
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


def _check(part: Path, whole: Whole) -> None:
    size = part.stat().st_size if part.exists() else 0
    if whole.total and size < whole.total:
        raise TryAgain(f"the download was cut after {size:,} of {whole.total:,} bytes")
    if whole.total and size > whole.total:
        _start_over(part, f"{size:,} bytes arrived of a file of {whole.total:,}")
    if whole.md5:
        with part.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).digest()
        if base64.b64encode(digest).decode() != whole.md5:
            _start_over(part, "the file arrived damaged: its md5 is not the one that the server declared")


def _start_over(part: Path, why: str) -> NoReturn:
    part.unlink(missing_ok=True)
    _note(part).unlink(missing_ok=True)
    raise TryAgain(f"{why}; the next attempt starts over")


def _read_part(part: Path) -> tuple[int, Whole]:
    """The bytes of earlier attempts and the file they belong to; a part without its note is not used."""
    try:
        return part.stat().st_size, Whole(**json.loads(_note(part).read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return 0, Whole()


def _note(part: Path) -> Path:
    return part.with_name(part.name + ".json")
