"""Look up a Kaggle data set's current version, and download that version's files into a cache on disk.

<root>/<owner>/<slug>/
  .lock             held by the run that downloads
  <version>.zip     the archive, as .part and .part.json until complete (resumable_download.py); removed once
                    unpacked
  <version>/        the unpacked files; the folder appears only when they are complete
"""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

import filelock
import requests

from fer_tasks.errors import writing_to
from fer_tasks.network import (
    LOOPBACK,
    Patience,
    Refused,
    host_of,
    is_page,
    reaching,
    read_short,
    refuse_for_now,
)
from fer_tasks.sources.kaggle.key import HOW, NOBODY, Key
from fer_tasks.sources.kaggle.resumable_download import Progress, transfer
from fer_tasks.sources.kaggle.unzip import BrokenArchive, unpack

BASE = "https://api.kaggle.com"
MAX_REPLY = 1 << 20  # bytes; Kaggle's description of a data set is a hundredth of that
# Owner and slug become names of folders: no dots, no slashes.
HANDLE = re.compile(r"([A-Za-z0-9][\w-]{0,99})/([A-Za-z0-9][\w-]{0,99})", re.ASCII)


class Handle(NamedTuple):
    """The name of a data set: `owner/slug`."""

    owner: str
    slug: str

    def __str__(self) -> str:
        return f"{self.owner}/{self.slug}"


class About(NamedTuple):
    """Kaggle's description of a data set's current version."""

    version: int
    size: int  # bytes, 0 if unknown
    licence: str
    title: str


@dataclass(frozen=True)
class Service:
    """The address of Kaggle, the user's key, and how long to wait for an answer.

    Raises:
        Refused: the address is neither https:// nor on this machine, so the key would be sent in the clear.
    """

    base: str = BASE
    key: Key = NOBODY
    patience: Patience = Patience()

    def __post_init__(self) -> None:
        where = urlsplit(self.base)
        if where.scheme != "https" and (where.scheme != "http" or where.hostname not in LOOPBACK):
            raise Refused(f"the address of Kaggle must start with https://, such as {BASE}")


@dataclass(frozen=True)
class Store:
    """Where downloads are kept, and their limits."""

    root: Path
    max_bytes: int  # of the zip, and of the unpacked files
    wait_s: float = 3600  # for another run that downloads the same data set


def handle_of(text: str) -> Handle:
    """Parse "owner/slug".

    Raises:
        Refused: the text is something else.
    """
    if not (match := HANDLE.fullmatch(text.strip())):
        raise Refused(
            f"{text!r} is not the name of a Kaggle data set; write owner/slug, the end of its address: "
            "https://www.kaggle.com/datasets/owner/slug"
        )
    return Handle(match[1], match[2])


def look_up(service: Service, handle: Handle) -> About:
    """Ask for the current version, with one small call.

    Raises:
        TryAgain: a temporary fault.
        Refused: no such data set, no access, or a reply that makes no sense.
    """
    reply, body = _call(service, handle, "GetDataset")
    if reply.status_code != 200:
        raise Refused(f"Kaggle answered {reply.status_code} when asked about {handle}")
    about = _json(service, reply, body)
    try:
        version, size = int(about["currentVersionNumber"]), int(about.get("totalBytes") or 0)
    except (KeyError, TypeError, ValueError):
        raise Refused(f"Kaggle gave no version of {handle}; has its interface changed?") from None
    return About(version, size, str(about.get("licenseName") or ""), str(about.get("title") or ""))


def fetch(
    service: Service, handle: Handle, version: int, target: Path, max_bytes: int, progress: Progress
) -> None:
    """Make one attempt to download a version's zip to `target`, resuming an earlier attempt.

    `target` must name the version, since the partial files beside it are used again; the caller holds
    `exclusive`. At most `max_bytes` are accepted. `progress(bytes so far, bytes in all or 0)` is called for
    every 64 KiB. The key is sent to `service` only, never to the storage that it links to.

    Raises:
        TryAgain: a temporary fault; another attempt resumes.
        Refused: another attempt would not help.
        DiskError: the disk is full or cannot be written.
    """
    if target.exists():
        return
    reply, _ = _call(service, handle, "DownloadDataset", datasetVersionNumber=version)
    link = reply.headers.get("Location", "")
    if reply.status_code not in (301, 302, 303, 307, 308) or not link:
        page = " with a web page" if is_page(reply) else ""
        raise Refused(f"Kaggle answered {reply.status_code}{page} in place of a link to {handle}")
    transfer(urljoin(reply.url, link), target, max_bytes, service.patience, progress)


def obtain(service: Service, handle: Handle, version: int, store: Store, progress: Progress) -> Path:
    """Return the folder with a version's files; if it is missing, make one attempt to download them.

    The zip is removed once unpacked, since it would double the space. If the disk is full or the files would
    exceed `store.max_bytes`, the zip is kept; if it is broken, it is removed. Older versions are removed when
    the new one is complete.

    Raises:
        TryAgain: a temporary fault; another attempt resumes.
        Refused: another attempt would not help, or another run has downloaded for too long.
        ArchiveError: the zip is broken, too large or unsafe to unpack.
        DiskError: the disk is full or cannot be written.
    """
    folder = store.root / handle.owner / handle.slug
    files, archive = folder / str(version), folder / f"{version}.zip"
    with exclusive(store, handle):
        if not files.is_dir():
            fetch(service, handle, version, archive, store.max_bytes, progress)
            try:
                unpack(archive, files, store.max_bytes)
            except BrokenArchive:
                archive.unlink()
                raise
        with writing_to(folder, 0):
            archive.unlink(missing_ok=True)
            _remove_older(folder, version)
    return files


@contextmanager
def exclusive(store: Store, handle: Handle) -> Iterator[None]:
    """Let one run at a time download a data set; the others wait, at most `store.wait_s` seconds.

    The operating system releases the lock when the process ends, however it ends.

    Raises:
        Refused: the wait is over.
    """
    folder = store.root / handle.owner / handle.slug
    with writing_to(folder, 0):
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / ".lock")
        try:
            lock.acquire(timeout=store.wait_s)
        except filelock.Timeout:
            raise Refused(
                f"another run has been downloading {handle} for more than {store.wait_s:g} s; "
                f"wait for it, or stop it (it holds {folder / '.lock'})"
            ) from None
    try:
        yield
    finally:
        lock.release()


def _remove_older(folder: Path, version: int) -> None:
    for path in folder.iterdir():
        match = re.fullmatch(r"\.?(\d+)(\.zip.*|\.partial|\.old)?", path.name)
        if not match or int(match[1]) >= version:
            continue
        if not path.is_dir():
            path.unlink()
            continue
        old = folder / f".{match[1]}.old"  # a half-removed folder must not look like a version
        shutil.rmtree(path.rename(old) if path != old else old)


def _call(service: Service, handle: Handle, call: str, **more: Any) -> tuple[requests.Response, bytes]:
    url = f"{service.base.rstrip('/')}/v1/datasets.DatasetApiService/{call}"
    body = {"ownerSlug": handle.owner, "datasetSlug": handle.slug, **more}
    with reaching(url, service.patience):
        options = {"json": body, "auth": service.key, "timeout": service.patience[:2]}
        with requests.post(url, **options, stream=True, allow_redirects=False) as reply:
            answer = read_short(reply, service.patience, MAX_REPLY)
    refuse_for_now(reply, service.patience)
    if reply.status_code in (401, 403):
        page = f"https://www.kaggle.com/datasets/{handle}"
        raise Refused(
            f"Kaggle refuses {handle} to {service.key.origin} ({reply.status_code}): {HOW}; "
            f"or see at {page} whether the set exists and agree to its terms"
        )
    if reply.status_code == 404:
        raise Refused(f"no such data set, or no access: {handle}")
    return reply, answer


def _json(service: Service, reply: requests.Response, body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        what = "a web page" if is_page(reply) else "something other than JSON"
        raise Refused(
            f"Kaggle answered with {what}; is a proxy in the way, or its address wrong? "
            f"It is {host_of(service.base)}"
        )
    return content
