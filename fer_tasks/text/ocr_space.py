"""A client of OCR.space's `parse/image` (https://ocr.space/ocrapi): send a picture, get the words on it.

Most failures come with status 200; a spent quota comes with 403.
"""

import json
import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import requests
from pydantic import BaseModel, ValidationError

from fer_tasks.errors import UserError
from fer_tasks.network import Patience, Refused, TryAgain, host_of, reaching, read_short, refuse_for_now
from fer_tasks.text.quota import QuotaSpent
from fer_tasks.text.sheets import OcrWord

PATIENCE = Patience(silent_s=90)  # the service answers only after it has read the picture
MAX_REPLY = 1 << 23  # bytes; the reply to a sheet full of words is a tenth of that
KEY = re.compile(r"api.?key.*(not valid|invalid)|E555", re.IGNORECASE | re.DOTALL)
QUOTA = re.compile(r"maximum \d+ number of times", re.IGNORECASE)
TEMPORARY = re.compile(r"E500|resource exhaust|timed out|concurrent connections", re.IGNORECASE)
REQUEST = re.compile(r"E201|parameter", re.IGNORECASE)  # the request is wrong, not the picture
TOO_LARGE = re.compile(r"file size|too large|maximum permissible", re.IGNORECASE)
VALIDATION = {-30, 3}  # FileParseExitCode of a refused picture


class NotRead(UserError):
    """OCR.space could not read this picture; a smaller one may help. `reply`: its reply."""

    def __init__(self, message: str, reply: str):
        super().__init__(message)
        self.reply = reply


class TooLarge(NotRead):
    """The file is larger than the service accepts."""


class NotReadNow(NotRead, TryAgain):
    """The service failed on this picture: another attempt may help."""

    after_s = None


class _Word(BaseModel):
    WordText: str
    Left: float
    Top: float
    Height: float
    Width: float


class _Line(BaseModel):
    Words: list[_Word]


class _Overlay(BaseModel):
    Lines: list[_Line]


class _Result(BaseModel):
    FileParseExitCode: int
    TextOverlay: _Overlay | None = None
    ParsedText: str | None = None
    ErrorMessage: str | None = None
    ErrorDetails: str | None = None


class _Reply(BaseModel):
    OCRExitCode: int
    IsErroredOnProcessing: bool = False
    ParsedResults: list[_Result] | None = None
    ErrorMessage: list[str] | str | None = None
    ErrorDetails: list[str] | str | None = None


class Failure(NamedTuple):
    """A reply that reports a failure."""

    host: str
    text: str  # the body, or the error messages in it
    status: int = 200  # of HTTP
    exit_code: int = 1  # OCRExitCode
    codes: frozenset[int] = frozenset()  # FileParseExitCode of each picture
    reply: str = ""  # the body, for errors that keep it


Failures = tuple[tuple[Callable[[Failure], Any], Callable[[Failure], Exception]], ...]
# (whether the row applies, the error): the first row that applies is raised.
BY_TEXT: Failures = (
    (
        lambda f: KEY.search(f.text) or f.status == 401,
        lambda f: Refused(
            f"{f.host} does not accept the key; set OCR_SPACE_API_KEY to one from https://ocr.space/ocrapi"
        ),
    ),
    (lambda f: QUOTA.search(f.text), lambda f: QuotaSpent(f"{f.host} says that the quota is spent")),
)
BY_BODY: Failures = (  # for a body that is not a reply of `parse/image`
    *BY_TEXT,
    (lambda f: TEMPORARY.search(f.text), lambda f: TryAgain(f"{f.host}: {f.text.strip()[:200]}")),
)
BY_STATUS: Failures = (
    (
        lambda f: f.status == 403,
        lambda f: QuotaSpent(f"{f.host} refuses further calls, as it does when the quota is spent"),
    ),
    (lambda f: f.status == 413, lambda f: _too_large(f"{f.host} says that the file is too large")),
    (
        lambda f: f.status != 200,
        lambda f: Refused(f"{f.host} answered {f.status}; is drop_text.ocr_space.url right?"),
    ),
    (lambda f: True, lambda f: TryAgain(f"{f.host} answered with something other than OCR.space's JSON")),
)
BY_EXIT_CODE: Failures = (
    *BY_TEXT,
    (
        lambda f: f.exit_code == 99 or REQUEST.search(f.text),
        lambda f: Refused(f"OCR.space does not accept the request: {f.text[:300]}"),
    ),
    (lambda f: TOO_LARGE.search(f.text), lambda f: TooLarge(f.text[:300], f.reply)),
    (lambda f: "E216" in f.text or f.codes & VALIDATION, lambda f: NotRead(f.text[:300], f.reply)),
    (lambda f: True, lambda f: NotReadNow(f.text[:300], f.reply)),
)


def _raise_first(failures: Failures, failure: Failure) -> None:
    for applies, error in failures:
        if applies(failure):
            raise error(failure)


def _too_large(message: str) -> TooLarge:
    return TooLarge(message, json.dumps({"OCRExitCode": 3, "ErrorMessage": message}))


def send(url: str, key: str, jpeg: bytes, engine: int, language: str, patience: Patience = PATIENCE) -> str:
    """Send a picture and return the reply, a JSON object, with the key replaced by *** wherever it appears.

    Raises:
        TryAgain: a temporary fault.
        QuotaSpent: the service accepts no more calls.
        TooLarge: the file is larger than the service accepts.
        Refused: anything else, such as a wrong key.
    """
    fields = {"language": language, "OCREngine": str(engine), "isOverlayRequired": "true"}
    with (
        reaching(url, patience),
        requests.post(
            f"{url.rstrip('/')}/parse/image",
            data=fields,
            files={"file": ("faces.jpg", jpeg, "image/jpeg")},
            headers={"apikey": key},
            timeout=patience[:2],
            stream=True,
            allow_redirects=False,
        ) as reply,
    ):
        text = read_short(reply, patience, MAX_REPLY).decode("utf-8", "replace").replace(key, "***")
        if reply.status_code != 200 or not _is_object(text):
            failure = Failure(host_of(reply.url), text, reply.status_code)
            _raise_first(BY_BODY, failure)
            refuse_for_now(reply, patience)
            _raise_first(BY_STATUS, failure)
        return text


def _is_object(text: str) -> bool:
    """Whether the text is a JSON object."""
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def read(reply: str) -> list[OcrWord]:
    """The words in a reply, with boxes in px of the picture that was sent; none if there is no writing.

    Raises:
        NotRead: the picture could not be read; NotReadNow if another attempt may help.
        QuotaSpent: the quota is spent.
        Refused: the request or the key is wrong.
    """
    try:
        parsed = _Reply.model_validate_json(reply)
    except ValidationError:
        raise NotReadNow("the reply of OCR.space cannot be parsed", reply) from None
    results = parsed.ParsedResults or []
    codes = frozenset(result.FileParseExitCode for result in results)
    if parsed.IsErroredOnProcessing or parsed.OCRExitCode != 1 or codes - {1}:
        text = _messages(parsed) or f"exit codes {parsed.OCRExitCode}, {sorted(codes)}"
        failure = Failure("OCR.space", text, exit_code=parsed.OCRExitCode, codes=codes, reply=reply)
        _raise_first(BY_EXIT_CODE, failure)
    lines = [line for result in results if result.TextOverlay for line in result.TextOverlay.Lines]
    if not results or (not lines and any((result.ParsedText or "").strip() for result in results)):
        raise NotReadNow("the reply of OCR.space has no boxes of words", reply)
    return [
        OcrWord(word.WordText, word.Top, word.Left, word.Height, word.Width, i)
        for i, line in enumerate(lines)
        for word in line.Words
    ]


def _messages(reply: _Reply) -> str:
    """All error messages of a reply as one text."""
    parts: Iterable[_Reply | _Result] = [reply, *(reply.ParsedResults or [])]
    texts = [text for part in parts for text in (part.ErrorMessage, part.ErrorDetails) if text]
    return " ".join(" ".join(text) if isinstance(text, list) else text for text in texts).strip()
