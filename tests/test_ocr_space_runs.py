"""Asking OCR.space about many faces: each is looked at, none twice, whatever happens on the way."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from prefect import flow
from prefect.blocks.system import Secret

from fer_tasks.errors import UserError
from fer_tasks.network import Refused, TryAgain
from fer_tasks.settings import OcrSpace
from fer_tasks.storage import images
from fer_tasks.text import replies
from fer_tasks.text.quota import QuotaSpent
from flows import ocr_space
from testing import ocr_server as bad
from testing.ocr_server import failed, sends
from tests.test_sheets import captioned, face

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect")]
WRITTEN = {3: "MONDAY", 8: "SALE 50%"}
N = 10


def picture(i: int) -> np.ndarray:
    return captioned(WRITTEN[i], 120, 18) if i in WRITTEN else face(120, 3 * i)


def wanted(ocr: bad.OcrSpace, **changes) -> OcrSpace:
    free = {"ocr_engine": 2, "language": "auto", "max_bytes": 10**6, "max_side": 5000, "connections": 1}
    limits = {"per_second": 1000, "per_day": 100_000, "per_month": 1_000_000, "wait": 0}
    return OcrSpace(**{"url": ocr.address, "sheet": True, **free, **limits, **changes})


@pytest.fixture
def faces(tmp_path, monkeypatch, ocr) -> dict[str, tuple[str, str]]:
    """Ten faces on disk, a key in the environment, and tasks that try again at once."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("OCR_SPACE_API_KEY", ocr.key)
    at_once = ocr_space.ask.with_options(retry_delay_seconds=0, retry_jitter_factor=0)
    monkeypatch.setattr(ocr_space, "ask", at_once)
    made = {}
    for i in range(N):
        path = tmp_path / f"{i}.png"
        path.write_bytes(images.encode_png(picture(i)))
        made[f"face-{i}"] = (images.pixel_hash(picture(i)), str(path))
    return made


def ask(faces, settings):
    return flow(name="drop_text")(ocr_space.lines_by_ocr_space)(faces, settings)


def written(lines) -> dict[int, str]:
    return {
        int(i.removeprefix("face-")): " ".join(line.text for line in found).replace(" ", "")
        for i, found in lines.items()
        if found
    }


def asked_about() -> list[list[str]]:
    """The faces of every question that has an answer."""
    return [json.loads((f.parent / "layout.json").read_text())["faces"] for f in Path().rglob("reply.json")]


ALL = {i: text.replace(" ", "") for i, text in WRITTEN.items()}


def test_one_sheet_for_all_and_never_again(faces, ocr):
    lines, unread = ask(faces, wanted(ocr))
    assert written(lines) == ALL and len(lines) == N and not unread
    assert ocr.calls == 1
    assert max(Image.open(io.BytesIO(ocr.pictures[0])).size) < 700
    ask(faces, wanted(ocr))
    few = dict(list(faces.items())[:4])
    assert written(ask(few, wanted(ocr, max_bytes=10_000))[0]) == {3: "MONDAY"}, "other sheets, same answers"
    assert ocr.calls == 1


def test_without_sheets_each_face_is_a_call(faces, ocr):
    lines, _ = ask(faces, wanted(ocr, sheet=False, connections=3))
    assert written(lines) == ALL and ocr.calls == N
    assert {Image.open(io.BytesIO(jpeg)).size for jpeg in ocr.pictures} == {(120, 120)}


def test_two_faces_alike_are_asked_about_once(faces, ocr):
    faces["twin"] = faces["face-3"]
    lines, _ = ask(faces, wanted(ocr, sheet=False))
    assert ocr.calls == N and lines["twin"] == lines["face-3"]


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body["ParsedResults"][0].update(TextOverlay={"Lines": []}, ParsedText=""),
        lambda said: (
            said["ParsedResults"][0]["TextOverlay"]["Lines"].clear()
            or said["ParsedResults"][0].update(ParsedText="")
        ),
    ],
    ids=["an empty success", "no lines"],
)
def test_a_sheet_without_its_canary_is_not_believed(faces, ocr, change):
    ocr.fail(bad.changed(change))
    lines, _ = ask(faces, wanted(ocr))
    assert written(lines) == ALL and ocr.calls == 1 + N


def test_a_service_that_cannot_read_sheets_costs_three_of_them(faces, ocr):
    def copes_with_faces_only(handler):
        lost = Image.open(io.BytesIO(handler.picture)).size != (120, 120)
        result = {"TextOverlay": {"Lines": []}, "ParsedText": ""} if lost else {}
        handler.send_words(lambda body: body["ParsedResults"][0].update(result))

    ocr.fail(*[copes_with_faces_only] * 20)
    lines, _ = ask(faces, wanted(ocr, max_bytes=30_000))
    assert written(lines) == ALL and ocr.calls == 3 + N


def test_a_word_across_two_faces_asks_about_both_alone(faces, ocr):
    def across(said):
        word = {"WordText": "wide", "Left": 100, "Top": 40, "Height": 12, "Width": 100}
        said["ParsedResults"][0]["TextOverlay"]["Lines"].append({"LineText": "wide", "Words": [word]})

    ocr.fail(bad.changed(across))
    lines, _ = ask(faces, wanted(ocr))
    assert written(lines) == ALL and ocr.calls == 1 + 2


@pytest.mark.parametrize(
    "fault",
    [
        bad.status(502),
        bad.status(429, b"{}", Retry_After="0"),
        bad.cut,
        bad.status(200, b'{"ParsedResults": "'),
        sends("For this API KEY only 1 concurrent connections at the same time allowed", 403),
        sends(failed("E500: Resource Exhaustion")),
        sends(failed("Timed out waiting for results", code=4)),
        bad.changed(lambda said: said.pop("ParsedResults")),
    ],
)
def test_what_passes_is_tried_again(faces, ocr, fault):
    ocr.fail(fault, fault)
    lines, _ = ask(faces, wanted(ocr))
    assert written(lines) == ALL and ocr.calls == 3


def test_a_sheet_that_is_too_large_for_the_service_is_split(faces, ocr):
    ocr.max_bytes = 50_000
    lines, _ = ask(faces, wanted(ocr))
    assert written(lines) == ALL and ocr.calls < N
    assert all(len(jpeg) <= ocr.max_bytes for jpeg in ocr.pictures)
    calls = ocr.calls
    ask(faces, wanted(ocr))
    assert ocr.calls == calls


def test_a_sheet_that_is_too_large_for_what_stands_before_the_service_is_split(faces, ocr):
    ocr.fail(bad.status(413))
    lines, _ = ask(faces, wanted(ocr))
    assert written(lines) == ALL and 2 < ocr.calls < N


def test_a_picture_that_is_refused_by_itself_is_set_aside_with_what_was_said(faces, ocr):
    refused = sends(failed(["E216:Unable to detect the file extension"]))
    ocr.fail(refused, *[lambda handler: handler.send_words()] * 4, refused)
    lines, unread = ask(faces, wanted(ocr, sheet=False))
    assert unread == {i: "E216:Unable to detect the file extension" for i in ("face-0", "face-5")}
    assert len(lines) == N - 2 and not set(lines) & set(unread)
    ask(faces, wanted(ocr, sheet=False))
    assert ocr.calls == N


def test_one_poisonous_face_costs_itself_alone(faces, ocr):
    def poisonous(handler):
        poison = images.decode_image((Path(faces["face-5"][1])).read_bytes(), 10**7)
        sent = np.asarray(Image.open(io.BytesIO(handler.picture)).convert("RGB"))
        if any(
            (abs(sent[r : r + 120, c : c + 120].astype(int) - poison).mean() < 12) for r, c in places(sent)
        ):
            handler.send_json(failed("Fatal error", code=4))
        else:
            handler.send_words()

    def places(sent):
        return [(r, c) for r in range(0, sent.shape[0] - 119, 16) for c in range(0, sent.shape[1] - 119, 16)]

    ocr.fail(*[poisonous] * 200)
    lines, unread = ask(faces, wanted(ocr))
    assert unread == {"face-5": "Fatal error"} and written(lines) == ALL and len(lines) == N - 1


def test_a_service_that_reads_nothing_ends_the_run_and_costs_no_face(faces, ocr):
    ocr.fail(*[sends(failed("Fatal error", code=4))] * 15)
    with pytest.raises(Refused, match="reads nothing"):
        ask(faces, wanted(ocr, sheet=False))
    lines, unread = ask(faces, wanted(ocr))
    assert written(lines) == ALL and len(lines) == N and not unread


def test_the_quota_of_our_ledger_pauses_the_run_and_the_next_goes_on(faces, ocr):
    with pytest.raises(QuotaSpent, match="6 of 10 faces are still to be asked about.*from 20") as caught:
        ask(faces, wanted(ocr, sheet=False, per_day=4))
    assert caught.value.again and ocr.calls == 4
    with pytest.raises(QuotaSpent):
        ask(faces, wanted(ocr, sheet=False, per_day=4))
    assert ocr.calls == 4, "the ledger is kept across runs"
    lines, _ = ask(faces, wanted(ocr, sheet=False, per_day=N))
    assert written(lines) == ALL and ocr.calls == N and len(asked_about()) == N


def test_the_quota_of_the_service_pauses_the_run(faces, ocr):
    ocr.quota = 4
    with pytest.raises(QuotaSpent, match="6 of 10 faces.*within a day"):
        ask(faces, wanted(ocr, sheet=False))
    ocr.quota = None
    lines, _ = ask(faces, wanted(ocr, sheet=False))
    assert written(lines) == ALL and len(ocr.pictures) == N


def test_the_key_may_be_a_secret_block_of_prefect(faces, ocr, monkeypatch):
    monkeypatch.delenv("OCR_SPACE_API_KEY")
    Secret(value=ocr.key).save(ocr_space.SECRET_BLOCK, overwrite=True)
    try:
        assert written(ask(faces, wanted(ocr))[0]) == ALL
    finally:
        Secret.delete(ocr_space.SECRET_BLOCK)


def test_a_bad_key_or_none_ends_the_run_at_once(faces, ocr, monkeypatch):
    monkeypatch.setenv("OCR_SPACE_API_KEY", "wrong")
    with pytest.raises(Refused, match="OCR_SPACE_API_KEY"):
        ask(faces, wanted(ocr, sheet=False))
    assert ocr.calls == 1
    monkeypatch.delenv("OCR_SPACE_API_KEY")
    with pytest.raises(UserError, match="OCR_SPACE_API_KEY.*ocr-space-api-key"):
        ask(faces, wanted(ocr))


def test_an_outage_ends_the_run_and_the_next_goes_on(faces, ocr):
    ocr.fail(*[lambda handler: handler.send_words()] * 4, *[bad.status(503)] * 5)
    with pytest.raises(TryAgain, match="503"):
        ask(faces, wanted(ocr, sheet=False))
    lines, _ = ask(faces, wanted(ocr, sheet=False))
    assert written(lines) == ALL and len(ocr.pictures) == N


def test_what_is_known_is_worked_out_from_the_kept_replies(faces, ocr):
    ask(faces, wanted(ocr))
    (root,) = (path for path in ocr_space.KEPT.iterdir() if path.is_dir())
    known = replies.replay_replies(root)
    assert set(known.lines) == {pixels for pixels, _ in faces.values()} and not known.unread


def test_a_ledger_that_cannot_be_kept_says_where_it_could(monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/null/nowhere")
    with pytest.raises(
        UserError, match="cannot be counted: .*set XDG_STATE_HOME to a folder that you can write"
    ):
        ocr_space._ledger_of("https://api.ocr.space")
