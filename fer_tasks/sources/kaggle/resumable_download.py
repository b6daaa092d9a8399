"""Fetch one large file in as many attempts as it takes; what came is kept and only the rest is asked for.

<target>.part        what has come so far
<target>.part.json   what the storage said of the whole file, so that the rest is of the same file
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
Progress = Callable[[int, int], None]  # bytes that are here, bytes in all (0 where nobody knows)


class Whole(NamedTuple):
    """What the storage says of the whole file; "" and 0 where it does not."""

    etag: str = ""
    md5: str = ""  # base64, as in X-Goog-Hash
    total: int = 0  # bytes


def transfer(url: str, target: Path, max_bytes: int, patience: Patience, progress: Progress) -> None:
    """One attempt to get `url` into `target`, without any key; a later attempt goes on from there.

    `target` is whole, of the size and the md5 that the storage told, or absent. `max_bytes`: of a larger file
    nothing is fetched, or no more than that where the storage does not tell how large it is. Raises TryAgain,
    Refused, DiskError.
    """
    part = target.with_name(target.name + ".part")
    with writing_to(target.parent, 0):
        target.parent.mkdir(parents=True, exist_ok=True)
        done, whole = _begun(part)
    if not whole.total or done != whole.total:
        with reaching(url, patience), _ask(url, done, whole, patience) as reply:
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


def _ask(url: str, done: int, whole: Whole, patience: Patience) -> requests.Response:
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
    """Where the reply's body begins in the file, and what is now known of the whole file."""
    done, known = begun
    refuse_for_now(reply, patience)
    host, status = host_of(reply.url), reply.status_code
    if reply.headers.get("Content-Encoding", "identity") != "identity":
        raise Refused(f"{host} sends the file packed anew; is there a proxy in the way?")
    if status == 200 and is_page(reply):
        raise Refused(f"{host} sends a web page in place of the file; is there a proxy in the way?")
    said = _whole(reply)
    if status == 200:
        return 0, said._replace(total=_length(reply))
    if not done or status not in (206, 416):
        # A link is good for a while only; the next attempt asks Kaggle for a new one.
        raise TryAgain(f"{host} answered {status} to the link that Kaggle gave")
    met = re.fullmatch(r"bytes (?:(\d+)-(\d+)|\*)/(\d+)", reply.headers.get("Content-Range", ""))
    total = int(met[3]) if met else 0
    wanted = (None, None) if status == 416 else (str(done), str(total - 1))
    if not met or (met[1], met[2]) != wanted or (status == 416 and total != done):
        _start_over(part, f"{host} sent another part of the file than the bytes from {done} on")
    if any(a and b and a != b for a, b in zip(known, (*said[:2], total), strict=True)):
        _start_over(part, f"{host} holds another file than before")
    return done, Whole(said.etag or known.etag, said.md5 or known.md5, total)


def _length(reply: requests.Response) -> int:
    length = reply.headers.get("Content-Length", "")
    return int(length) if length.isascii() and length.isdigit() else 0


def _whole(reply: requests.Response) -> Whole:
    hashes = re.search(r"(?:^|[,\s])md5=([A-Za-z0-9+/=]+)", reply.headers.get("X-Goog-Hash", ""))
    return Whole(reply.headers.get("ETag", ""), hashes[1] if hashes else "")


def _receive(
    reply: requests.Response, part: Path, begun: tuple[int, Whole], most: int, progress: Progress
) -> int:
    """Append what comes to the part, until it is larger than `most` bytes; returns how large it is."""
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
        _start_over(part, f"{size:,} bytes came of a file of {whole.total:,}")
    if whole.md5:
        with part.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).digest()
        if base64.b64encode(digest).decode() != whole.md5:
            _start_over(part, "the file came damaged: its md5 is not the one that the storage told")


def _start_over(part: Path, why: str) -> NoReturn:
    part.unlink(missing_ok=True)
    _note(part).unlink(missing_ok=True)
    raise TryAgain(f"{why}; the next attempt starts over")


def _begun(part: Path) -> tuple[int, Whole]:
    """Bytes that came in earlier attempts and the file they are of; a part without its note is not used."""
    try:
        return part.stat().st_size, Whole(**json.loads(_note(part).read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return 0, Whole()


def _note(part: Path) -> Path:
    return part.with_name(part.name + ".json")
