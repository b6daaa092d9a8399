"""Kaggle's data sets through the real client, from a server that fails in every way that was met."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fer_tasks.network import Refused, TryAgain
from fer_tasks.sources.kaggle.datasets import About, Service, fetch, handle_of, look_up
from fer_tasks.sources.kaggle.resumable_download import Progress
from testing import kaggle_server as bad
from testing.kaggle_server import CHUNK, TELEMOJI, ZIP, Kaggle, tree, zipped
from testing.loopback import silence


def get(
    kaggle: Kaggle, target: Path, progress: Progress = lambda done, total: None, max_bytes: int = 10**7
) -> None:
    fetch(kaggle.service(), TELEMOJI, 3, target, max_bytes, progress)


@pytest.mark.parametrize("text", ["kreinisalex/telemoji", " kreinisalex/telemoji\n"])
def test_a_handle(text):
    assert handle_of(text) == TELEMOJI and str(TELEMOJI) == "kreinisalex/telemoji"


@pytest.mark.parametrize(
    "text", ["", "telemoji", "a/b/c", "../b", "a/..", "a/.", "a b/c", "ä/b", "a/b\0", "/b"]
)
def test_no_handle_is_one_clear_message(text):
    with pytest.raises(Refused, match="write owner/slug, the end of its address"):
        handle_of(text)


def test_one_call_tells_the_version(kaggle):
    assert look_up(kaggle.service(), TELEMOJI) == About(3, len(ZIP), "CC0-1.0", "Telemoji")
    assert kaggle.calls() == ["GetDataset"]


def test_a_whole_download(kaggle, tmp_path):
    told = []
    get(kaggle, tmp_path / "3.zip", lambda done, total: told.append((done, total)))
    assert tree(tmp_path) == {"3.zip": ZIP}
    assert told[0] == (0, len(ZIP)) and told[-1] == (len(ZIP), len(ZIP)) and told == sorted(told)
    get(kaggle, tmp_path / "3.zip")
    assert kaggle.calls() == ["DownloadDataset", "storage"]


PASSING = {
    "cut": (bad.cut_after(100_000), "cut"),
    "cut at once": (bad.cut_after(0), "cut"),
    "silent": (silence, "127.0.0.1 sent nothing for 1 s"),
    "silent halfway": (bad.cut_after(100_000, then=silence), "127.0.0.1 sent nothing for 1 s"),
    "429": (bad.status(429), "answered 429"),
    "429 in seconds": (bad.status(429, Retry_After="7"), "answered 429: wait 7 s"),
    "503": (bad.status(503, Retry_After="0"), "answered 503: wait 0 s"),
    "503 by date": (bad.status(503, Retry_After="Fri, 31 Dec 1999 23:59:59 GMT"), "wait 0 s"),
    "500": (bad.status(500), "answered 500"),
    "link expired": (bad.status(403), "answered 403 to the link"),
    "link gone": (bad.status(404), "answered 404 to the link"),
    "range unasked": (bad.status(206), "answered 206 to the link"),
    "md5": (bad.headers_wrong(X_Goog_Hash="md5=AAAAAAAAAAAAAAAAAAAAAA=="), "its MD5 is not the one"),
}


@pytest.mark.parametrize("name", PASSING)
def test_a_fault_of_the_storage_that_passes(kaggle, tmp_path, name):
    fault, said = PASSING[name]
    kaggle.fail("storage", fault)
    with pytest.raises(TryAgain) as caught:
        get(kaggle, tmp_path / "3.zip")
    assert said in str(caught.value) and "Signature" not in str(caught.value)
    assert not (tmp_path / "3.zip").exists()
    had = sum(p.stat().st_size for p in tmp_path.glob("*.part"))
    get(kaggle, tmp_path / "3.zip")
    assert tree(tmp_path) == {"3.zip": ZIP}
    assert kaggle.ranges() == ["", f"bytes={had}-" if had else ""]
    assert had == (CHUNK if name in ("cut", "silent halfway") else 0)


@pytest.mark.parametrize("call", ["GetDataset", "DownloadDataset"])
@pytest.mark.parametrize("name", ["silent", "429 in seconds", "503", "500"])
def test_a_fault_of_kaggle_that_passes(kaggle, tmp_path, call, name):
    fault, said = PASSING[name]
    kaggle.fail(call, fault)
    with pytest.raises(TryAgain, match=said):
        look_up(kaggle.service(), TELEMOJI)
        get(kaggle, tmp_path / "3.zip")
    assert tree(tmp_path) == {}
    assert look_up(kaggle.service(), TELEMOJI).version == 3
    get(kaggle, tmp_path / "3.zip")
    assert tree(tmp_path) == {"3.zip": ZIP}


FINAL = {
    "401": (bad.status(401), "make a token at https://www.kaggle.com/settings and set KAGGLE_API_TOKEN"),
    "403": (bad.status(403), "to no key (403)"),
    "404": (bad.status(404), "no such data set, or no access: kreinisalex/telemoji"),
    "400": (bad.status(400), "Kaggle answered 400"),
    "a page": (bad.page(), "a web page"),
    "far too busy": (bad.status(429, Retry_After="7200"), "answered 429: run again after 20"),
}


@pytest.mark.parametrize("call", ["GetDataset", "DownloadDataset"])
@pytest.mark.parametrize("name", FINAL)
def test_what_the_user_must_mend(kaggle, tmp_path, call, name):
    fault, said = FINAL[name]
    kaggle.fail(call, fault)
    with pytest.raises(Refused) as caught:
        look_up(kaggle.service(), TELEMOJI)
        get(kaggle, tmp_path / "3.zip")
    assert said in str(caught.value)
    get(kaggle, tmp_path / "3.zip")
    assert tree(tmp_path) == {"3.zip": ZIP}


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"currentVersionNumber": null}', b"\xff", b'{"a'])
def test_an_answer_that_makes_no_sense(kaggle, body):
    kaggle.fail("GetDataset", lambda handler: handler.reply(200, body))
    with pytest.raises(Refused, match="no version of|other than JSON"):
        look_up(kaggle.service(), TELEMOJI)


@pytest.mark.parametrize("call", ["GetDataset", "DownloadDataset"])
def test_an_answer_without_end_is_not_read_to_it(kaggle, tmp_path, call):
    kaggle.fail(call, lambda handler: handler.reply(200, b" " * (2 << 20)))
    with pytest.raises(Refused, match="127.0.0.1 sent more than 1,048,576 bytes in a reply that should be"):
        look_up(kaggle.service(), TELEMOJI)
        get(kaggle, tmp_path / "3.zip")


@pytest.mark.parametrize("packed", [False, True])
def test_a_page_in_place_of_the_file(kaggle, tmp_path, packed):
    wrong = bad.headers_wrong(Content_Encoding="gzip") if packed else bad.page()
    kaggle.fail("storage", bad.cut_after(100_000), wrong)
    with pytest.raises(TryAgain):
        get(kaggle, tmp_path / "3.zip")
    with pytest.raises(Refused, match="is a proxy in between"):
        get(kaggle, tmp_path / "3.zip")
    get(kaggle, tmp_path / "3.zip")
    assert tree(tmp_path) == {"3.zip": ZIP}
    assert kaggle.ranges()[2] == f"bytes={CHUNK}-"  # what was there is kept


RESUMED = {
    "no ranges": (bad.no_ranges, "", 2),
    "another range": (bad.other_range, "another part of the file", 3),
    "no Content-Range": (bad.headers_wrong(Content_Range=""), "another part of the file", 3),
    "shorter in all": (
        bad.headers_wrong(Content_Range=f"bytes {CHUNK}-99999/100000"),
        "holds another file",
        3,
    ),
    "another md5": (bad.headers_wrong(X_Goog_Hash="md5=AAAA"), "holds another file", 3),
    "another ETag": (bad.headers_wrong(ETag='"other"'), "holds another file", 3),
    "416": (bad.status(416, Content_Range="bytes */70000"), "another part of the file", 3),
    "an error page": (bad.page(500), "answered 500", 3),
    "cut again": (bad.cut_after(100_000), "cut", 3),
}


@pytest.mark.parametrize("name", RESUMED)
def test_a_resume_takes_nothing_but_the_rest(kaggle, tmp_path, name):
    fault, said, attempts = RESUMED[name]
    kaggle.fail("storage", bad.cut_after(100_000), fault)
    with pytest.raises(TryAgain):
        get(kaggle, tmp_path / "3.zip")
    if said:
        with pytest.raises(TryAgain, match=said):
            get(kaggle, tmp_path / "3.zip")
        assert not (tmp_path / "3.zip").exists()
    get(kaggle, tmp_path / "3.zip")
    assert tree(tmp_path) == {"3.zip": ZIP} and len(kaggle.ranges()) == attempts
    kept = {"an error page": f"bytes={CHUNK}-", "cut again": f"bytes={2 * CHUNK}-"}
    assert kaggle.ranges()[1:] == [f"bytes={CHUNK}-", kept.get(name, "")][: attempts - 1]


def test_a_file_that_changed_under_the_same_version_is_fetched_from_its_start(kaggle, tmp_path):
    kaggle.fail("storage", bad.cut_after(100_000))
    with pytest.raises(TryAgain):
        get(kaggle, tmp_path / "3.zip")
    kaggle.content = zipped({"other.jpg": os.urandom(200_000)})
    get(kaggle, tmp_path / "3.zip")  # If-Range: the storage sends the whole one
    assert tree(tmp_path) == {"3.zip": kaggle.content}


@pytest.mark.parametrize("length_known", [True, False])
def test_all_was_there_but_the_run_ended(kaggle, tmp_path, length_known):
    without = {} if length_known else {"Content_Length": ""}
    kaggle.fail("storage", bad.headers_wrong(**without))

    def killed(done: int, total: int) -> None:
        if done == len(ZIP):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get(kaggle, tmp_path / "3.zip", killed)
    get(kaggle, tmp_path / "3.zip")
    assert tree(tmp_path) == {"3.zip": ZIP}
    assert kaggle.ranges() == ([""] if length_known else ["", f"bytes={len(ZIP)}-"])  # the latter met 416


def test_a_part_that_was_damaged_on_disk_is_not_believed(kaggle, tmp_path):
    kaggle.fail("storage", bad.cut_after(100_000))
    with pytest.raises(TryAgain):
        get(kaggle, tmp_path / "3.zip")
    (tmp_path / "3.zip.part").write_bytes(bytes(CHUNK))
    with pytest.raises(TryAgain, match="its MD5 is not the one"):
        get(kaggle, tmp_path / "3.zip")
    assert tree(tmp_path) == {}
    get(kaggle, tmp_path / "3.zip")
    assert tree(tmp_path) == {"3.zip": ZIP}


@pytest.mark.parametrize("note", [None, "", "{", "[]", '{"size": 1}', "\0"])
def test_a_part_without_its_note_is_not_used(kaggle, tmp_path, note):
    (tmp_path / "3.zip.part").write_bytes(ZIP[:1000])
    if note is not None:
        (tmp_path / "3.zip.part.json").write_text(note)
    get(kaggle, tmp_path / "3.zip")
    assert tree(tmp_path) == {"3.zip": ZIP} and kaggle.ranges() == [""]


def test_a_file_that_is_too_large_is_not_fetched(kaggle, tmp_path):
    told = []
    with pytest.raises(Refused, match=f"sends a file of {len(ZIP):,} bytes; at most 100,000 bytes are"):
        get(kaggle, tmp_path / "3.zip", lambda *here: told.append(here), max_bytes=100_000)
    assert tree(tmp_path) == {} and not told


def test_of_a_file_of_unknown_length_no_more_is_fetched_than_is_allowed(kaggle, tmp_path):
    kaggle.fail("storage", *[bad.headers_wrong(Content_Length="")] * 2)
    told = []
    with pytest.raises(Refused, match="sends a file of more; at most 100,000 bytes are allowed"):
        get(kaggle, tmp_path / "3.zip", lambda done, total: told.append(done), max_bytes=100_000)
    assert tree(tmp_path) == {} and 100_000 < max(told) <= 100_000 + CHUNK
    get(kaggle, tmp_path / "3.zip", max_bytes=len(ZIP))
    assert tree(tmp_path) == {"3.zip": ZIP}


def test_more_than_was_told_is_not_fetched(kaggle, tmp_path):
    """The rest of a file, told to be 70,000 bytes, without a length of its own."""
    kaggle.fail("storage", bad.cut_after(70_000))
    with pytest.raises(TryAgain):
        get(kaggle, tmp_path / "3.zip")
    note = tmp_path / "3.zip.part.json"
    note.write_text(note.read_text().replace(str(len(ZIP)), "0"))
    whole = f"bytes {CHUNK}-{2 * CHUNK - 1}/{2 * CHUNK}"
    kaggle.fail("storage", bad.headers_wrong(Content_Range=whole, Content_Length=""))
    told = []
    with pytest.raises(TryAgain, match="bytes arrived of a file of"):
        get(kaggle, tmp_path / "3.zip", lambda done, total: told.append(done))
    assert max(told) <= 3 * CHUNK
    get(kaggle, tmp_path / "3.zip")
    assert tree(tmp_path) == {"3.zip": ZIP}


@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(size=st.integers(0, len(ZIP) - 1))
def test_any_part_grows_into_the_whole(kaggle, tmp_path_factory, size):
    folder, kaggle.received[:] = tmp_path_factory.mktemp("any"), []
    kaggle.fail("storage", bad.cut_after(size))
    with pytest.raises(TryAgain):
        get(kaggle, folder / "3.zip")
    part = folder / "3.zip.part"
    os.truncate(part, min(size, part.stat().st_size) // 3)  # what a lost power supply leaves
    had = part.stat().st_size
    get(kaggle, folder / "3.zip")
    assert (folder / "3.zip").read_bytes() == ZIP
    assert kaggle.ranges() == ["", f"bytes={had}-" if had else ""]


@pytest.mark.parametrize("base", ["http://api.kaggle.com", "ftp://127.0.0.1", "api.kaggle.com", ""])
def test_a_key_is_not_sent_in_the_open(base):
    with pytest.raises(Refused, match="must start with https://"):
        Service(base)
