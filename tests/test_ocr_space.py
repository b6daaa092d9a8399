"""What OCR.space's replies, or their absence, are taken for: the real client against a server of our own."""

import numpy as np
import pytest

from fer_tasks.network import Patience, Refused, TryAgain
from fer_tasks.text import ocr_space, sheets
from fer_tasks.text.ocr_space import NotRead, NotReadNow, TooLarge
from fer_tasks.text.quota import QuotaSpent
from testing import ocr_server as bad
from testing.loopback import silence
from testing.ocr_server import OcrSpace, failed, ocr_server, sends
from tests.test_sheets import captioned, face

JPEG = sheets.encode(captioned("MONDAY"))
LITTLE = Patience(connect_s=2, silent_s=2, asked_s=60, whole_s=5)
BLANK = sheets.encode(np.full((64, 64, 3), 200, np.uint8))


def ask(ocr: OcrSpace, jpeg: bytes = JPEG, key: str | None = None) -> list[sheets.OcrWord]:
    reply = ocr_space.send(ocr.address, key or ocr.key, jpeg, 2, "auto", LITTLE)
    assert ocr.key not in reply
    return ocr_space.read(reply)


def test_words_come_back_with_their_boxes(ocr):
    (word,) = ask(ocr)
    assert word.text == "MONDAY" and word.width > 2 * word.height
    assert word.row < 127 < word.row + word.height and word.column < 75 < word.column + word.width
    assert ocr.forms == [{"language": "auto", "OCREngine": "2", "isOverlayRequired": "true"}]
    assert ocr.pictures == [JPEG]


def test_an_empty_success_is_no_writing(ocr):
    assert ask(ocr, BLANK) == []


def without(key):
    return bad.changed(lambda said: said.pop(key))


def result(**fields):
    return bad.changed(lambda body: body["ParsedResults"][0].update(fields))


FAULTS = {
    "the day's quota": (sends(bad.QUOTA.format(500), 403), QuotaSpent, "the quota is spent"),
    "the day's quota, 200": (sends(failed(bad.QUOTA.format(500))), QuotaSpent, "the quota is spent"),
    "a 403 that says nothing of a key": (sends("Forbidden", 403), QuotaSpent, "refuses further calls"),
    "too many connections": (
        sends("For this API KEY only 1 concurrent connections at the same time allowed", 403),
        TryAgain,
        "concurrent connections",
    ),
    "a bad key, 200": (sends(failed(["E555: API key not valid"], code=99)), Refused, "OCR_SPACE_API_KEY"),
    "a bad key, 403": (sends("The API key is invalid", 403), Refused, "OCR_SPACE_API_KEY"),
    "a bad key, 401": (sends({"message": "The API key is invalid"}, 401), Refused, "OCR_SPACE_API_KEY"),
    "exit code 2": (sends(failed("Parsed in part", code=2, ParsedResults=[])), NotReadNow, "in part"),
    "exit code 3": (sends(failed("All pages failed")), NotReadNow, "All pages failed"),
    "exit code 4": (sends(failed("Fatal error", code=4)), NotReadNow, "Fatal error"),
    "exit code 99": (sends(failed(["Parameter name 'x' is invalid"], code=99)), Refused, "Parameter name"),
    "E201": (sends(failed("E201: Value for parameter 'language' is invalid")), Refused, "E201"),
    "E216": (sends(failed(["E216:Unable to detect the file extension"])), NotRead, "E216"),
    "E500": (sends(failed(["E500: Resource Exhaustion"], code=4)), NotReadNow, "E500"),
    "it took too long": (sends(failed("Timed out waiting for results")), NotReadNow, "Timed out"),
    "a page that failed": (result(FileParseExitCode=-10, ErrorMessage="Engine"), NotReadNow, "Engine"),
    "a page that was refused": (result(FileParseExitCode=-30), NotRead, "-30"),
    "no results": (without("ParsedResults"), NotReadNow, "no boxes"),
    "null for results": (bad.changed(lambda said: said.update(ParsedResults=None)), NotReadNow, "no boxes"),
    "text without boxes": (result(TextOverlay=None), NotReadNow, "no boxes"),
    "a box that is no number": (
        result(TextOverlay={"Lines": [{"Words": [{"WordText": "a", "Left": "x"}]}]}),
        NotReadNow,
        "cannot be parsed",
    ),
    "no exit code": (without("OCRExitCode"), NotReadNow, "cannot be parsed"),
    "too large": (sends(failed("File failed validation. File size exceeds 1024 KB")), TooLarge, "1024 KB"),
    "too large, 413": (bad.status(413), TooLarge, "too large"),
    "invalid JSON": (
        bad.status(200, b'{"ParsedResults":[{"ParsedText":"a "b" c"}]}'),
        TryAgain,
        "other than OCR.space.s JSON",
    ),
    "a bare string": (sends("Something else"), TryAgain, "other than OCR.space.s JSON"),
    "502 with HTML": (bad.status(502), TryAgain, "answered 502"),
    "429, come later": (bad.status(429, b"{}", Retry_After="7"), TryAgain, "wait 7 s"),
    "404": (bad.status(404), Refused, "url"),
    "a redirect": (bad.status(302, b"", Location="https://example.org/"), Refused, "302"),
    "a hang": (silence, TryAgain, "sent nothing for"),
    "a cut": (bad.cut, TryAgain, "cut"),
    "a slow drip": (bad.drip, TryAgain, "did not end within 5 s"),
}


WAITING = pytest.mark.slow  # for what never comes, or comes too slowly


@pytest.mark.parametrize(
    "fault",
    [pytest.param(fault, marks=WAITING if fault in ("a hang", "a slow drip") else ()) for fault in FAULTS],
)
def test_a_fault_is_never_taken_for_no_writing(ocr, fault):
    happens, kind, said = FAULTS[fault]
    ocr.fail(happens)
    with pytest.raises(kind, match=said) as caught:
        ask(ocr)
    again = kind in (TryAgain, NotReadNow)
    assert isinstance(caught.value, TryAgain) == again, "is it worth another attempt?"
    assert ocr.key not in str(caught.value)
    assert [word.text for word in ask(ocr)] == ["MONDAY"]


def test_the_wait_that_was_asked_for(ocr):
    ocr.fail(bad.status(503, Retry_After="7"))
    with pytest.raises(TryAgain) as caught:
        ask(ocr)
    assert caught.value.after_s == 7


def test_a_key_that_comes_back_is_blacked_out(ocr):
    ocr.fail(bad.changed(lambda said: said.update(ErrorDetails=f"key {ocr.key}")))
    assert "***" in ocr_space.send(ocr.address, ocr.key, JPEG, 2, "auto", LITTLE)
    ocr.fail(sends(failed([f"The key {ocr.key} met an error"])))
    with pytest.raises(NotReadNow, match=r"\*\*\*"):
        ask(ocr)


def test_a_key_that_is_no_header_is_not_told(ocr):
    with pytest.raises(Refused) as caught:
        ask(ocr, key="K8\n8957")
    assert "8957" not in str(caught.value) and ocr.calls == 0


def test_nobody_listens():
    with ocr_server() as gone:
        pass
    with pytest.raises(TryAgain, match="the connection to 127.0.0.1 failed"):
        ask(gone)


def test_the_server_reads_sheets_as_the_service_does(ocr):
    sheet, layout = sheets.lay_out([face(150, i) for i in range(4)] + [captioned("stock photo")])
    words = ask(ocr, sheets.encode(sheet))
    lines, _ = sheets.assign(words, layout)
    assert sheets.canary_was_read(words, layout) and "stock" in lines[4][0].text
