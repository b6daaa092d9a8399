"""Download a data set of Kaggle: its current version, and that version's files in a cache on disk.

<root>/<owner>/<slug>/
  .lock             held by the run that downloads
  <version>.zip     while it comes, with .part and .part.json (resumable_download.py); removed once unpacked
  <version>/        the files, whole as soon as the folder is there
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
MAX_REPLY = 1 << 20  # bytes; Kaggle's description of a data set is a hundredth of it
# Both become names of folders: no dots, no slashes.
NAMED = re.compile(r"([A-Za-z0-9][\w-]{0,99})/([A-Za-z0-9][\w-]{0,99})", re.ASCII)


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
    """Where Kaggle answers, who asks and how long to wait for it. Raises Refused for an open address."""

    base: str = BASE
    key: Key = NOBODY
    patience: Patience = Patience()

    def __post_init__(self) -> None:
        where = urlsplit(self.base)
        if where.scheme != "https" and (where.scheme != "http" or where.hostname not in LOOPBACK):
            raise Refused(f"the address of Kaggle must start with https://, such as {BASE}")


@dataclass(frozen=True)
class Store:
    """Where downloads are kept, and their bounds."""

    root: Path
    max_bytes: int  # of the zip, and of the unpacked files
    wait_s: float = 3600  # for another run that downloads the same


def handle_of(text: str) -> Handle:
    """The handle in "owner/slug". Raises Refused for anything else."""
    if not (met := NAMED.fullmatch(text.strip())):
        raise Refused(
            f"{text!r} names no Kaggle data set; write owner/slug, the end of its address: "
            "https://www.kaggle.com/datasets/owner/slug"
        )
    return Handle(met[1], met[2])


def look_up(service: Service, handle: Handle) -> About:
    """Ask for the current version with one small call. Raises TryAgain, Refused."""
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
    """Make one attempt to download a version's zip, of at most `max_bytes`, to `target`, resuming an earlier
    one.

    `target` must name the version, since the parts beside it are used again, and the caller holds `alone`.
    `progress(bytes here, bytes in all or 0)` is called for every 64 KiB. The key goes to `service` only,
    never to the storage that it leads to. Raises TryAgain, Refused, DiskError; `target` is then absent.
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
    """The folder with a version's files; makes one attempt to download them if they are missing.

    The zip is removed once unpacked: it would double the space, and the version's folder says enough.
    It is kept if only disk space, or `max_bytes` for its files, was short, and removed if it is broken.
    Older versions are removed when the new one is whole. Raises TryAgain, Refused, ArchiveError, DiskError.
    """
    folder = store.root / handle.owner / handle.slug
    files, packed = folder / str(version), folder / f"{version}.zip"
    with alone(store, handle):
        if not files.is_dir():
            fetch(service, handle, version, packed, store.max_bytes, progress)
            try:
                unpack(packed, files, store.max_bytes)
            except BrokenArchive:
                packed.unlink()
                raise
        with writing_to(folder, 0):
            packed.unlink(missing_ok=True)
            _remove_older(folder, version)
    return files


@contextmanager
def alone(store: Store, handle: Handle) -> Iterator[None]:
    """One run at a time downloads a data set; the others wait, at most `store.wait_s` seconds.

    The lock is the operating system's: it ends with its process, however that ends. Raises Refused.
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
                f"wait for it, or end it (it holds {folder / '.lock'})"
            ) from None
    try:
        yield
    finally:
        lock.release()


def _remove_older(folder: Path, version: int) -> None:
    for path in folder.iterdir():
        met = re.fullmatch(r"\.?(\d+)(\.zip.*|\.partial|\.old)?", path.name)
        if not met or int(met[1]) >= version:
            continue
        if not path.is_dir():
            path.unlink()
            continue
        old = folder / f".{met[1]}.old"  # a folder that is half removed must not look like a version
        shutil.rmtree(path.rename(old) if path != old else old)


def _call(service: Service, handle: Handle, call: str, **more: Any) -> tuple[requests.Response, bytes]:
    url = f"{service.base.rstrip('/')}/v1/datasets.DatasetApiService/{call}"
    body = {"ownerSlug": handle.owner, "datasetSlug": handle.slug, **more}
    with reaching(url, service.patience):
        sent = {"json": body, "auth": service.key, "timeout": service.patience[:2]}
        with requests.post(url, **sent, stream=True, allow_redirects=False) as reply:
            answer = read_short(reply, service.patience, MAX_REPLY)
    refuse_for_now(reply, service.patience)
    if reply.status_code in (401, 403):
        page = f"https://www.kaggle.com/datasets/{handle}"
        raise Refused(
            f"Kaggle refuses {handle} to {service.key.origin} ({reply.status_code}): {HOW}; "
            f"or see at {page} whether there is such a set and agree to its terms"
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
