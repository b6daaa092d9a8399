"""A zip from elsewhere is unpacked into one folder and nowhere else, all of it or nothing."""

import io
import os
import stat
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fer_tasks.errors import DiskError, UserError
from fer_tasks.sources.kaggle.unzip import MAX_DEPTH, ArchiveError, BrokenArchive, unpack
from testing.kaggle_server import tree

GOOD = {"train/happy/a.jpg": b"one" * 50_000, "train/sad/ä b.jpg": b"", "test/happy/a.jpg": os.urandom(999)}


def zip_at(
    path: Path, members: dict[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED
) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for member, content in members.items():
            archive.writestr(member, content, method)
    return path


def named(name: str, mode: int = 0) -> zipfile.ZipInfo:
    """A member whose name is written as it is, whatever zipfile would make of it."""
    info = zipfile.ZipInfo("x")
    info.filename, info.external_attr, info.create_system = name, mode << 16, 3
    return info


def refused(zip_path: Path, kind: type[UserError] = ArchiveError, **bounds: int) -> str:
    """Why `zip_path` is refused; nothing may be there afterwards that was not there before."""
    before = sorted(zip_path.parent.rglob("*"))
    with pytest.raises(kind) as caught:
        unpack(zip_path, zip_path.parent / "new" / "set", **({"max_bytes": 10**7} | bounds))
    made = [zip_path.parent / "new"] if (zip_path.parent / "new").is_dir() else []
    assert sorted(zip_path.parent.rglob("*")) == sorted(before + made)
    return str(caught.value)


def lie(zip_path: Path, size: int) -> Path:
    """Write another unpacked size into both headers of a zip with one member."""
    data = bytearray(zip_path.read_bytes())
    for mark, offset in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        struct.pack_into("<I", data, data.index(mark) + offset, size)
    zip_path.write_bytes(data)
    return zip_path


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_sound_zip(tmp_path, method):
    (tmp_path / ".set.partial").mkdir()
    (tmp_path / ".set.partial" / "of a run that was killed").touch()
    unpack(zip_at(tmp_path / "z.zip", GOOD | {"empty/": b""}, method), tmp_path / "set", max_bytes=10**6)
    assert tree(tmp_path / "set") == GOOD and (tmp_path / "set" / "empty").is_dir()
    assert {p.name for p in tmp_path.iterdir()} == {"z.zip", "set"}


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("웃음/김 (1).jpg".encode("cp949"), "웃음/김 (1).jpg"),
        ("웃음/김.jpg".encode(), "웃음/김.jpg"),
        ("fête/été.jpg".encode("cp437"), "fête/été.jpg"),
        ("Straße.jpg".encode("cp437"), "Straße.jpg"),
        ("cañón.jpg".encode("cp437"), "cañón.jpg"),
        (b"plain.jpg", "plain.jpg"),
    ],
)
def test_names_of_old_programs_come_out_as_they_were(tmp_path, raw, name):
    """Without the flag that says UTF-8, which zipfile always writes where it is needed."""
    path = zip_at(tmp_path / "z.zip", {"x" * len(raw): b"photo"})
    path.write_bytes(path.read_bytes().replace(b"x" * len(raw), raw))
    unpack(path, tmp_path / "set", max_bytes=10**6)
    assert tree(tmp_path / "set") == {name: b"photo"}


def test_what_is_there_is_not_written_over(tmp_path):
    (tmp_path / "set").mkdir()
    with pytest.raises(FileExistsError):
        unpack(zip_at(tmp_path / "z.zip", GOOD), tmp_path / "set", max_bytes=10**6)
    assert tree(tmp_path / "set") == {}


OUTSIDE = [
    "../a",
    "a/../../b",
    "a/..",
    "/etc/passwd",
    "//server/a",
    "C:/a",
    "c:a",
    "",
    ".",
    "./",
    "/",
    "a\0b",
]


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_path_that_leaves_the_folder(tmp_path, name):
    said = refused(zip_at(tmp_path / "z.zip", GOOD | {named(name): b"bad"}))
    assert "leads out of the folder or is not a path; nothing was unpacked" in said and repr(name) in said


@pytest.mark.parametrize("name", ["a\\b", "..\\b", "\\a"])
def test_a_backslash(tmp_path, name):
    assert "has a backslash" in refused(zip_at(tmp_path / "z.zip", GOOD | {named(name): b"bad"}))


def test_a_path_that_is_too_deep_or_too_long(tmp_path):
    assert "33 folders deep" in refused(zip_at(tmp_path / "z.zip", {"a/" * MAX_DEPTH + "b": b""}))
    assert "File name too long" in refused(zip_at(tmp_path / "y.zip", GOOD | {"a" * 300: b""}), DiskError)


@pytest.mark.parametrize(
    "mode", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFBLK, stat.S_IFCHR, stat.S_IFSOCK, stat.S_IFDIR]
)
def test_a_link_or_a_special_file(tmp_path, mode):
    members = GOOD | {named("a", mode | 0o777): b"/etc/passwd", "a/b": b"through the link"}
    assert "'a' is a link or a special file" in refused(zip_at(tmp_path / "z.zip", members))


def test_no_bits_of_a_members_mode_are_taken_over(tmp_path):
    unpack(zip_at(tmp_path / "z.zip", {named("a", stat.S_IFREG | 0o6777): b"x"}), tmp_path / "set", 10)
    assert not (tmp_path / "set" / "a").stat().st_mode & 0o7111


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("names", [("a", "a"), ("a", "./a"), ("a", "a/b"), ("a/b", "a")])
def test_two_members_with_one_path(tmp_path, names):
    path = zip_at(tmp_path / "z.zip", {named(name): b"x" for name in names})
    assert "two members would be at" in refused(path)


def test_a_bomb_that_tells_its_size(tmp_path):
    bomb = zip_at(tmp_path / "z.zip", {"a": bytes(10**7), "b": bytes(10**7)})
    assert bomb.stat().st_size < 30_000
    assert "unpacks to 20,000,000 bytes; at most 10,000,000" in refused(bomb)


def test_a_bomb_that_lies(tmp_path):
    bomb = lie(zip_at(tmp_path / "z.zip", {"a": bytes(10**7)}), 5)
    assert "is damaged or not a zip" in refused(bomb, BrokenArchive, max_bytes=1000)


def test_a_size_that_is_told_too_large(tmp_path):
    assert "does not have the" in refused(lie(zip_at(tmp_path / "z.zip", {"a": b"abc"}), 500), BrokenArchive)


def test_too_many_members(tmp_path):
    assert "3 members; at most 2 are" in refused(zip_at(tmp_path / "z.zip", GOOD), max_members=2)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_method_that_unpacks_without_bounds(tmp_path, method):
    assert "an unsupported compression method" in refused(zip_at(tmp_path / "z.zip", GOOD, method))


def test_an_encrypted_member(tmp_path):
    path = zip_at(tmp_path / "z.zip", {"a": b"abc"})
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(data)
    assert "'a' is encrypted" in refused(path)


def test_a_damaged_member(tmp_path):
    path = zip_at(tmp_path / "z.zip", GOOD, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[1000] ^= 1
    path.write_bytes(data)
    said = refused(path, BrokenArchive)
    assert "Bad CRC-32" in said and "download it again" in said


@pytest.mark.parametrize("content", [b"", b"<html>", b"PK\3\4", b"PK\5\6" + bytes(9)])
def test_no_zip_at_all(tmp_path, content):
    (tmp_path / "z.zip").write_bytes(content)
    refused(tmp_path / "z.zip", BrokenArchive)


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_a_cut_or_damaged_zip_is_one_clear_message(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("damaged")
    whole = bytearray(zip_at(folder / "z.zip", {"a/b.jpg": b"some words, " * 9, "c": b"more"}).read_bytes())
    if data.draw(st.booleans()):
        whole = whole[: data.draw(st.integers(0, len(whole) - 1))]
    else:
        for _ in range(data.draw(st.integers(1, 4))):
            whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    (folder / "z.zip").write_bytes(whole)
    try:
        unpack(folder / "z.zip", folder / "set", max_bytes=10_000)
    except UserError:
        assert {p.name for p in folder.iterdir()} == {"z.zip"}
    else:
        assert {p.name for p in folder.iterdir()} == {"z.zip", "set"}


@settings(deadline=None, max_examples=80)
@given(
    name=st.lists(st.sampled_from(["..", ".", "/", "\\", "a", "C:", "\0", "~", " ", "ä", "\n"])).map("".join)
)
@example(name="a/./../..")
def test_no_name_gets_out(tmp_path_factory, name):
    root = tmp_path_factory.mktemp("names")
    path = zip_at(root / "z.zip", {named(name): b"x"})
    try:
        unpack(path, root / "in" / "set", max_bytes=10)
    except UserError:
        assert list(root.rglob("*")) in ([path], [path, root / "in"], [root / "in", path])
    made = [p for p in root.rglob("*") if p.is_file() and p != path]
    assert all(p.is_relative_to(root / "in" / "set") for p in made) and len(made) <= 1


def test_a_full_disk(tmp_path, small_disk):
    path = zip_at(tmp_path / "z.zip", GOOD | {"b": os.urandom(10_000)})
    with pytest.raises(DiskError, match=f"no room in {small_disk}: 160,999 bytes are needed there in all"):
        unpack(path, small_disk / "set", max_bytes=10**7)
    assert list(small_disk.iterdir()) == []


def test_a_limit_on_a_files_size(tmp_path):
    path = zip_at(tmp_path / "z.zip", GOOD)
    code = f"""
import resource
from pathlib import Path
from fer_tasks.sources.kaggle.unzip import unpack
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
unpack(Path({str(path)!r}), Path({str(tmp_path / "set")!r}), 10**7)
"""
    root = Path(__file__).parents[1]
    run = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert "DiskError: no room in" in run.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupted_run_leaves_nothing(tmp_path, monkeypatch):
    path = zip_at(tmp_path / "z.zip", GOOD)

    def interrupted(*arguments: object) -> io.BytesIO:
        raise KeyboardInterrupt

    monkeypatch.setattr(zipfile.ZipFile, "open", interrupted)
    with pytest.raises(KeyboardInterrupt):
        unpack(path, tmp_path / "set", max_bytes=10**7)
    assert list(tmp_path.iterdir()) == [path]
