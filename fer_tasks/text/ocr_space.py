"""A client of OCR.space's `parse/image`: one picture out, the words on it back.

https://ocr.space/ocrapi; most failures come with status 200, and a quota that is spent with 403.
"""

import json
import re
from typing import Any, NoReturn

import requests
from pydantic import BaseModel, ValidationError

from fer_tasks.errors import UserError
from fer_tasks.network import Patience, Refused, TryAgain, host_of, reaching, read_short, refuse_for_now
from fer_tasks.text.quota import QuotaSpent
from fer_tasks.text.sheets import OcrWord

PATIENCE = Patience(silent_s=90)  # it answers when it has read, not before
MAX_REPLY = 1 << 23  # bytes; a sheet full of words is a tenth of it
KEY = re.compile(r"api.?key.*(not valid|invalid)|E555", re.IGNORECASE | re.DOTALL)
QUOTA = re.compile(r"maximum \d+ number of times", re.IGNORECASE)
PASSES = re.compile(r"E500|resource exhaust|timed out|concurrent connections", re.IGNORECASE)
REQUEST = re.compile(r"E201|parameter", re.IGNORECASE)  # what we asked for, not the picture, is wrong
TOO_LARGE = re.compile(r"file size|too large|maximum permissible", re.IGNORECASE)
VALIDATION = {-30, 3}  # FileParseExitCode: the picture itself is refused


class NotRead(UserError):
    """OCR.space answered that it did not read this picture; a smaller one may help. `reply`: its answer."""

    def __init__(self, message: str, reply: str):
        super().__init__(message)
        self.reply = reply


class TooLarge(NotRead):
    """The file is larger than the service takes."""


class NotReadNow(NotRead, TryAgain):
    """The same, but the service was at fault: another attempt may help."""

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


def send(url: str, key: str, jpeg: bytes, engine: int, language: str, patience: Patience = PATIENCE) -> str:
    """Send a picture; returns the reply, a JSON object, with the key blacked out wherever it is repeated.

    Raises TryAgain for what passes, QuotaSpent, NotRead where the file is too large for the service, and
    Refused for the rest, a bad key first of all.
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
        return _understand(reply, text, patience)


def _understand(reply: requests.Response, text: str, patience: Patience) -> str:
    host, status = host_of(reply.url), reply.status_code
    try:
        said = json.loads(text)
    except ValueError:
        said = None
    if status != 200 or not isinstance(said, dict):
        _refuse(text, host, status)
    refuse_for_now(reply, patience)
    if status == 413:
        told = f"{host} says that the file is too large"
        raise TooLarge(told, json.dumps({"OCRExitCode": 3, "ErrorMessage": told}))
    if status != 200:
        raise Refused(f"{host} answered {status}; is drop_text.ocr_space.url right?")
    if not isinstance(said, dict):
        raise TryAgain(f"{host} answered what is no JSON of OCR.space's")
    return text


def _refuse(text: str, host: str, status: int) -> None:
    if KEY.search(text) or status == 401:
        _bad_key(host)
    if QUOTA.search(text):
        raise QuotaSpent(f"{host} says that the quota is spent")
    if PASSES.search(text):
        raise TryAgain(f"{host}: {text.strip()[:200]}")
    if status == 403:
        raise QuotaSpent(f"{host} refuses further calls, as it does when the quota is spent")


def _bad_key(host: str) -> NoReturn:
    raise Refused(f"{host} does not know the key; set OCR_SPACE_API_KEY to one of https://ocr.space/ocrapi")


def read(reply: str) -> list[OcrWord]:
    """The words of a reply, boxes in px of the picture that was sent; none where there is no writing.

    Raises NotRead, NotReadNow where the service was at fault, QuotaSpent, Refused for a wrong request.
    """
    try:
        said = _Reply.model_validate_json(reply)
    except ValidationError:
        raise NotReadNow("the reply makes no sense", reply) from None
    results = said.ParsedResults or []
    codes = [result.FileParseExitCode for result in results]
    if said.IsErroredOnProcessing or said.OCRExitCode != 1 or set(codes) - {1}:
        _explain(said, reply)
    lines = [line for result in results if result.TextOverlay for line in result.TextOverlay.Lines]
    if not results or (not lines and any((result.ParsedText or "").strip() for result in results)):
        raise NotReadNow("the reply has no boxes of words", reply)
    return [
        OcrWord(word.WordText, word.Top, word.Left, word.Height, word.Width, i)
        for i, line in enumerate(lines)
        for word in line.Words
    ]


def _explain(said: _Reply, reply: str) -> NoReturn:
    told: list[Any] = [said.ErrorMessage, said.ErrorDetails]
    told += [
        text for result in said.ParsedResults or [] for text in (result.ErrorMessage, result.ErrorDetails)
    ]
    message = " ".join(" ".join(text) if isinstance(text, list) else text for text in told if text).strip()
    codes = [result.FileParseExitCode for result in said.ParsedResults or []]
    message = message or f"exit codes {said.OCRExitCode}, {codes}"
    if KEY.search(message):
        _bad_key("OCR.space")
    if QUOTA.search(message):
        raise QuotaSpent("OCR.space says that the quota is spent")
    if said.OCRExitCode == 99 or REQUEST.search(message):
        raise Refused(f"OCR.space does not take the request: {message[:300]}")
    if TOO_LARGE.search(message):
        raise TooLarge(message[:300], reply)
    refused = "E216" in message or set(codes) & VALIDATION
    raise (NotRead if refused else NotReadNow)(message[:300], reply)
