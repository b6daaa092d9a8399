"""A fake Kaggle on 127.0.0.1: it keeps the real one's contract, and fails on demand."""

import base64
import hashlib
import io
import json
import random
import re
import threading
import zipfile
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from fer_tasks.network import Patience
from fer_tasks.sources.kaggle.datasets import Handle, Service
from fer_tasks.sources.kaggle.key import authorization
from testing import loopback
from testing.loopback import named, serving

API = "/v1/datasets.DatasetApiService/"
SIGNATURE = "X-Goog-Signature=5167ed"
TELEMOJI, TITLE = Handle("kreinisalex", "telemoji"), "Telemoji"
CHUNK = 1 << 16  # bytes that the client writes at a time


def zipped(files: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


_RANDOM = random.Random(0)
FILES = {
    f"{s}/{c}/{i}.jpg": _RANDOM.randbytes(9000) for s in ("train", "test") for c in "ab" for i in range(8)
}
ZIP = zipped(FILES)


class Received(NamedTuple):
    """A request that the server received."""

    call: str  # GetDataset, DownloadDataset or storage
    headers: dict[str, str]
    body: bytes


class Kaggle:
    """The server's state: its data set, the faults to come, and the requests so far."""

    def __init__(self, address: str):
        self.address = address
        self.version = 3
        self.content = b""
        self.key = ""  # the Authorization header that the API demands; "" for none
        self.received: list[Received] = []
        self.closing = threading.Event()
        self._faults: dict[str, deque[Fault]] = {}

    def fail(self, call: str, *faults: "Fault") -> None:
        """Let the next requests of `call` meet these faults, one each."""
        self._faults.setdefault(call, deque()).extend(faults)

    def next_fault(self, call: str) -> "Fault | None":
        waiting = self._faults.get(call)
        return waiting.popleft() if waiting else None

    def ranges(self) -> list[str]:
        """The Range header of every request to the storage so far, "" without one."""
        return [one.headers.get("range", "") for one in self.received if one.call == "storage"]

    def service(self, **environ: str) -> Service:
        """A client's settings for this server, with the key in `environ` and short timeouts."""
        return Service(self.address, authorization(environ, Path("/nowhere")), Patience(2, 1, 60))

    def calls(self) -> list[str]:
        return [one.call for one in self.received]


class Handler(loopback.Handler):
    """GetDataset, DownloadDataset and the storage behind it."""

    @property
    def kaggle(self) -> Kaggle:
        return self.server.state

    def do_POST(self) -> None:
        self._meet(self.path.removeprefix(API))

    def do_GET(self) -> None:
        self._meet("storage")

    def _meet(self, call: str) -> None:
        self.close_connection = True
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.kaggle.received.append(Received(call, headers, body))
        if fault := self.kaggle.next_fault(call):
            fault(self)
        elif call == "storage":
            self.give()
        else:
            self._answer(call, json.loads(body))

    def _answer(self, call: str, request: dict) -> None:
        if self.kaggle.key and self.headers.get("Authorization") != self.kaggle.key:
            self.reply(401, b"{}")
        elif (request["ownerSlug"], request["datasetSlug"]) != TELEMOJI:
            self.reply(404, b"{}")
        elif call == "GetDataset":
            about = {"currentVersionNumber": self.kaggle.version, "title": TITLE, "licenseName": "CC0-1.0"}
            about["totalBytes"] = str(len(self.kaggle.content))  # protobuf's JSON has 64-bit numbers as text
            self.reply(200, json.dumps(about).encode(), {"Content-Type": "application/json"})
        else:
            link = f"{self.kaggle.address}/bucket/{request['datasetVersionNumber']}.zip?{SIGNATURE}"
            self.reply(302, b"", {"Location": link})

    def give(self, first: int | None = None, **headers: str) -> None:
        """Send the file from `first` on, by default as the Range header asks; `headers` replace the right
        ones."""
        content = self.kaggle.content
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        same = self.headers.get("If-Range", etag(content)) == etag(content)
        start = (int(match[1]) if match and same else 0) if first is None else first
        digest = base64.b64encode(hashlib.md5(content).digest()).decode()
        right = {"ETag": etag(content), "X-Goog-Hash": f"crc32c=AAAAAA==,md5={digest}"}
        right |= {"Accept-Ranges": "bytes", "Content-Type": "application/zip"}
        if SIGNATURE not in self.path or "Authorization" in self.headers:
            self.reply(400, b"<Error/>")
        elif start and start >= len(content):
            self.reply(416, b"", {"Content-Range": f"bytes */{len(content)}"})
        else:
            if start:
                right["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self.reply(206 if start else 200, content[start:], right | named(headers))


Fault = Callable[[Handler], None]


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def etag(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()[:16]}"'


def status(code: int, **headers: str) -> Fault:
    return lambda handler: handler.reply(code, b"{}", named(headers))


def page(code: int = 200) -> Fault:
    return lambda handler: handler.reply(code, b"<html>Sign in</html>", {"Content-Type": "text/html"})


def headers_wrong(**headers: str) -> Fault:
    """The file as requested, but with these headers; "" leaves one out."""
    return lambda handler: handler.give(**headers)


def no_ranges(handler: Handler) -> None:
    handler.give(first=0)


def other_range(handler: Handler) -> None:
    """A 206 that starts at another byte than requested."""
    handler.give(first=int(handler.headers["Range"][6:-1]) + 7)


def cut_after(size: int, then: Fault | None = None, **headers: str) -> Fault:
    """The first `size` bytes of what was requested, then the end of the connection, or `then`."""

    def fault(handler: Handler) -> None:
        handler.room = size
        handler.give(**headers)
        if then:
            then(handler)

    return fault


@contextmanager
def kaggle_server(content: bytes) -> Iterator[Kaggle]:
    """A server with one data set, whose zip is `content`, until the context ends."""
    with serving(Handler, Kaggle) as kaggle:
        kaggle.content = content
        yield kaggle
