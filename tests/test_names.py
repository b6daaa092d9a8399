"""Files of any name and of any kind, in a folder of class folders."""

import os
import re
import shutil
import socket
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_tasks.sources.folder import fingerprint, list_pictures
from fer_tasks.sources.names import suffix_of
from fer_tasks.storage.files import read_table, write_table
from tests.test_folder import reasons, tree


def test_litter_is_no_picture_and_what_is_passed_over_is_named(tmp_path):
    litter = ["happy/@eaDir/a.jpg", "#recycle/sad/a.jpg", "$RECYCLE.BIN/a.jpg", "lost+found/a.jpg"]
    litter += ["__MACOSX/happy/._a.jpg", "happy/.ipynb_checkpoints/a.jpg", "System Volume Information/a"]
    files = ["happy/._a.jpg", "happy/Thumbs.db", "happy/ehthumbs.db", "Icon\r", "happy/.a.jpg"]
    listing = list_pictures(tree(tmp_path, "happy/a.jpg", *litter, *files))
    assert listing.pictures["source"].tolist() == ["happy/a.jpg"]
    assert reasons(listing) == {"happy/.a.jpg": "hidden_file"}
    assert listing.warnings[-1].startswith(
        "folders ignored, as hidden or an operating system's: #recycle, $RECYCLE.BIN"
    )
    assert listing.warnings[-1].endswith("and 4 more")


def test_what_is_no_file_is_not_opened(tmp_path):
    source = tree(tmp_path, "happy/a.jpg")
    os.mkfifo(source / "happy" / "pipe.jpg")
    (source / "happy" / "to_pipe.jpg").symlink_to("pipe.jpg")
    (source / "happy" / "gone.jpg").symlink_to("nowhere.jpg")
    (source / "happy" / "loop.jpg").symlink_to("loop.jpg")
    (source / "happy" / "empty.jpg").touch()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(source / "happy" / "s.jpg"))
    assert reasons(list_pictures(source)) == {
        "happy/pipe.jpg": "special_file",
        "happy/to_pipe.jpg": "special_file",
        "happy/s.jpg": "special_file",
        "happy/gone.jpg": "file_not_found",
        "happy/loop.jpg": "file_not_found",
        "happy/empty.jpg": "not_a_picture",
    }
    assert len(fingerprint(source)) == 16
    (tmp_path / "list.csv").write_text("file,label\nhappy/a.jpg,happy\nhappy/pipe.jpg,sad\nhappy,sad\n")
    assert set(reasons(list_pictures(tmp_path / "list.csv")).values()) == {"special_file"}


def test_a_class_folder_that_cannot_be_read_is_named(tmp_path):
    """One whose path is too long, since root may read all others."""
    source = tree(tmp_path, "happy/a.jpg")
    here, deep = os.getcwd(), source / "sad"
    try:
        os.chdir(source)
        for name in ["sad"] + ["d" * 250] * 17:
            os.mkdir(name)
            os.chdir(name)
            deep = deep / name if name != "sad" else deep
    finally:
        os.chdir(here)
    listing = list_pictures(source)
    assert listing.rejected["reason"].tolist() == ["unreadable"]
    assert listing.rejected["source"].iloc[0].startswith("sad/ddd")
    assert "1 file rejected: a folder that cannot be read: File name too long" in listing.warnings
    assert len(fingerprint(source)) == 16
    shutil.rmtree(source)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("김.jpg".encode("cp949"), "\\xb1\\xe8.jpg"),
        ("김.jpg".encode(), "김.jpg"),
        (b"two\nlines.jpg", "two\\nlines.jpg"),
        (b'a "quoted", name;.jpg', 'a "quoted", name;.jpg'),
        (b"a.jpg?" + b"Signature" * 27, "a.jpg?" + "Signature" * 27),
    ],
)
def test_any_name_that_a_file_can_have(tmp_path, name, told):
    folder = tmp_path / "happy"
    folder.mkdir()
    Path(os.fsdecode(bytes(folder) + b"/" + name)).write_bytes(b"x")
    listing = list_pictures(tmp_path)
    assert listing.pictures["source"].tolist() == [f"happy/{told}"]
    assert Path(listing.pictures["path"].iloc[0]).read_bytes() == b"x"
    listing.pictures["source"].iloc[0].encode()
    assert len(fingerprint(tmp_path)) == 16


@given(
    st.binary(min_size=1, max_size=255).filter(
        lambda name: not {0, 47} & {*name} and name not in (b".", b"..")
    )
)
@settings(max_examples=60, deadline=None)
def test_every_name_is_listed_and_its_table_comes_back(name):
    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(f"{folder}/happy")
        for place in (b"happy/" + name, name + b"x" if len(name) < 255 else b"x"):
            with suppress(FileExistsError, IsADirectoryError):
                open(os.fsencode(folder) + b"/" + place, "xb").write(b"x")
        Path(folder, "happy", "a.jpg").write_bytes(b"y")
        listing = list_pictures(Path(folder))
        assert all(Path(path).exists() for path in listing.pictures["path"])
        for rows in (listing.pictures[["source", "label"]], listing.rejected):
            write_table(Path(folder, "t.csv"), rows)
            back = read_table(Path(folder, "t.csv"))
            assert back.to_numpy().tolist() == rows.to_numpy().tolist()
        assert re.fullmatch(r"|\.[a-z0-9]{2,4}", suffix_of(os.fsdecode(name)))


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("a.JPG", ".jpg"),
        ("a.jpg?Signature=" + "x" * 230, ".jpg"),
        ("a.b.jpeg!d", ".jpeg"),
        ("a.jpgx", ""),
        ("a", ""),
        ("a.\udcb1", ""),
        ("photo.2021", ""),
    ],
)
def test_the_suffix_is_that_of_a_picture(name, suffix):
    assert suffix_of(name) == suffix
