"""Any folder of class folders, or a CSV; every file is listed or set aside with its reason."""

import os
import re
import shutil
import socket
import tempfile
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_tasks.dataset import read_table, write_table
from fer_tasks.labels import EXPRESSIONS
from fer_tasks.sources.doubles import set_doubles_aside
from fer_tasks.sources.errors import SourceError
from fer_tasks.sources.folder import fingerprint, list_pictures
from fer_tasks.sources.listing import Listing
from fer_tasks.sources.names import suffix_of

SHARED = Path(__file__).parents[2] / "shared" / "data" / "sample"


def tree(root: Path, *files: str) -> Path:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(file.encode())
    return root


def listed(root: Path) -> set[tuple[str, str, str]]:
    pictures = list_pictures(root).pictures
    return set(pictures[["source", "label", "source_split"]].itertuples(index=False, name=None))


@pytest.mark.parametrize(
    ("file", "label", "split"),
    [
        ("happy/a.jpg", "happy", ""),
        ("Train/Suprise/a.jpg", "surprise", "train"),
        ("set/TEST/anger/a.png", "angry", "test"),
        ("fear/validation/a.png", "fear", "val"),
        ("images/Happiness/deep/er/a.webp", "happy", ""),
    ],
)
def test_class_folders_at_depth_one_to_three(tmp_path, file, label, split):
    assert listed(tree(tmp_path, file)) == {(file, label, split)}


def test_every_file_is_listed_or_set_aside(tmp_path):
    files = ["happy/a.jpg", "contempt/b.jpg", "train/contempt/c.jpg", "readme.txt", "train/d.jpg"]
    listing = list_pictures(tree(tmp_path, *files, ".git/x", "happy/Thumbs.db", "happy/.DS_Store"))
    assert listing.pictures["source"].tolist() == ["happy/a.jpg"]
    reasons = dict(zip(listing.rejected["source"], listing.rejected["reason"], strict=True))
    assert reasons == {
        "contempt/b.jpg": "unknown_class",
        "train/contempt/c.jpg": "unknown_class",
        "readme.txt": "no_class_folder",
        "train/d.jpg": "no_class_folder",
    }
    said = "\n".join(listing.warnings)
    assert "2 files set aside: folder 'contempt'" in said and "no picture of fear" in said


def test_all_classes_there_is_nothing_to_warn_of(tmp_path):
    assert list_pictures(tree(tmp_path, *(f"{name}/a.jpg" for name in EXPRESSIONS))).warnings == []


def test_links_that_leave_the_source_are_not_followed(tmp_path):
    outside = tree(tmp_path / "outside", "secret.jpg") / "secret.jpg"
    source = tree(tmp_path / "photos", "happy/a.jpg")
    (source / "happy" / "b.jpg").symlink_to(outside)
    (source / "sad").symlink_to(outside.parent)
    listing = list_pictures(source)
    assert listing.pictures["source"].tolist() == ["happy/a.jpg"]
    assert dict(zip(listing.rejected["source"], listing.rejected["reason"], strict=True)) == {
        "happy/b.jpg": "link_not_followed",
        "sad": "link_not_followed",
    }


@pytest.mark.parametrize(
    ("files", "said"),
    [((), "is empty"), (("cats/a.jpg", "b.txt"), "no class folder (it has: b.txt, cats)")],
)
def test_a_source_without_classes_is_one_clear_message(tmp_path, files, said):
    with pytest.raises(SourceError, match="download.source") as caught:
        list_pictures(tree(tmp_path, *files))
    assert said in str(caught.value) and "angry, disgust" in str(caught.value)


def test_a_missing_source_names_what_is_near(tmp_path):
    tree(tmp_path / "photos", "happy/a.jpg")
    with pytest.raises(SourceError, match=f"did you mean {tmp_path / 'photos'}"):
        list_pictures(tmp_path / "photo")
    with pytest.raises(SourceError, match="the nearest folder there is"):
        fingerprint(tmp_path / "quite" / "elsewhere")


@pytest.mark.parametrize("separator", [",", ";"])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_a_csv_of_file_and_label(tmp_path, separator, bom):
    tree(tmp_path, "pics/a.jpg", "pics/b.jpg")
    rows = [("File", "LABEL", "split"), ("pics/a.jpg", "Happiness", "Train"), ("pics/b.jpg", "sad", "")]
    rows += [("pics/c.jpg", "sad", ""), ("pics/a.jpg", "bored", "")]
    text = bom + "\n".join(separator.join(row) for row in rows)
    (tmp_path / "labels.csv").write_text(text, encoding="utf-8")
    listing = list_pictures(tmp_path / "labels.csv")
    pictures = listing.pictures[["source", "label", "source_split"]].to_numpy().tolist()
    assert pictures == [["pics/a.jpg", "happy", "train"], ["pics/b.jpg", "sad", ""]]
    assert listing.rejected["reason"].tolist() == ["unknown_class", "file_not_found"]
    assert listing.rejected["detail"][listing.rejected.index[1]].startswith("row 4: ")


@pytest.mark.parametrize("text", ["", "name,class\na,b\n", "file\na.jpg\n", "\x00\x01"])
def test_a_csv_of_something_else_is_one_clear_message(tmp_path, text):
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(SourceError, match="labels.csv"):
        list_pictures(tmp_path / "labels.csv")


def test_a_csv_that_is_not_utf8_is_one_clear_message(tmp_path):
    (tmp_path / "labels.csv").write_bytes("file,label\nphotö.jpg,happy\n".encode("latin-1"))
    with pytest.raises(SourceError, match="UTF-8"):
        list_pictures(tmp_path / "labels.csv")


def test_the_fingerprint_changes_with_names_sizes_and_times(tmp_path):
    source = tree(tmp_path, "happy/a.jpg", "sad/b.jpg")
    seen = [fingerprint(source)]
    assert fingerprint(source) == seen[0]
    (source / "happy" / "a.jpg").write_bytes(b"longer than it was")
    seen.append(fingerprint(source))
    os.utime(source / "happy" / "a.jpg", ns=(1, 1))
    seen.append(fingerprint(source))
    (source / "sad" / "b.jpg").rename(source / "sad" / "c.jpg")
    seen.append(fingerprint(source))
    assert len(set(seen)) == 4


def test_the_fingerprint_of_a_table_changes_with_what_it_stands_for(tmp_path):
    (tmp_path / "labels.csv").write_text("file,label\na.jpg,happy\n")
    seen = [fingerprint(tmp_path / "labels.csv")]
    (tmp_path / "a.jpg").write_bytes(b"a photo")
    seen.append(fingerprint(tmp_path / "labels.csv"))
    (tmp_path / "fer2013.csv").write_text("emotion,pixels,Usage\n")
    assert fingerprint(tmp_path / "labels.csv") == seen[-1]
    seen.append(fingerprint(tmp_path / "fer2013.csv"))
    (tmp_path / "fer2013new.csv").write_text("Usage,Image name,neutral\n")
    seen.append(fingerprint(tmp_path / "fer2013.csv"))
    assert len(set(seen)) == 4


@pytest.mark.parametrize(
    ("files", "splits"),
    [
        # A file's name says nothing of its split, but in FER2013.
        (["test/happy/train_station.jpg"], ["test"]),
        (["happy/test_shot.jpg", "happy/a.jpg"], ["", ""]),
        (["happy/PrivateTest_7.jpg", "happy/a.jpg", "sad/b.jpg"], ["", "", ""]),
        (["happy/training_7.jpg"], [""]),
        (
            ["test/sad/PrivateTest_1.jpg", "test/sad/PublicTest_2.jpg", "train/sad/Training_3.jpg"],
            ["test", "val", "train"],
        ),
        (["sad/PrivateTest_1.jpg", "sad/PublicTest_2.jpg", "sad/Training_3.jpg"], ["test", "val", "train"]),
        (["train/sad/PrivateTest_1.jpg"], ["train"]),
        (["dev/sad/a.jpg", "hold_out/sad/a.jpg", "validation_set/sad/a.jpg"], ["val", "test", "val"]),
        (["Test Images/sad/a.jpg", "train-data/sad/a.jpg", "valset/sad/a.jpg"], ["test", "train", "val"]),
        (["sad/test/a.jpg", "sad/train/a.jpg"], ["test", "train"]),
        (["train/train/sad/a.jpg"], ["train"]),
    ],
)
def test_the_split_is_that_of_the_folder(tmp_path, files, splits):
    pictures = list_pictures(tree(tmp_path, *files)).pictures.set_index("source")
    assert pictures["source_split"].reindex(files).tolist() == splits


@pytest.mark.parametrize(
    ("file", "beside", "detail"),
    [
        ("extra/sad/a.jpg", "train/sad/a.jpg", "folder 'extra'; rename it to train, val or test"),
        ("sad/kim/a.jpg", "sad/test/b.jpg", "folder 'kim'; rename it"),
        ("my_test2/sad/a.jpg", "sad/a.jpg", "folder 'my_test2'; rename it"),
        ("eval/sad/a.jpg", "sad/a.jpg", "folder 'eval'; rename it"),
        ("test/train/sad/a.jpg", "test/sad/a.jpg", "lies in 'test' and 'train'; rename it"),
    ],
)
def test_a_split_that_nobody_knows_is_set_aside(tmp_path, file, beside, detail):
    listing = list_pictures(tree(tmp_path, file, beside))
    assert listing.pictures["source"].tolist() == [beside]
    assert reasons(listing) == {file: "unknown_split"}
    assert detail in listing.rejected["detail"].iloc[0] and any(detail in text for text in listing.warnings)


def test_pictures_without_a_split_among_others_with_one_are_told(tmp_path):
    files = ["train/sad/a.jpg", "test/sad/a.jpg", "sad/b.jpg"]
    assert (
        "1 pictures are in no split while others are; they count as train"
        in list_pictures(tree(tmp_path, *files)).warnings
    )


def reasons(listing: Listing) -> dict[str, str]:
    return dict(zip(listing.rejected["source"], listing.rejected["reason"], strict=True))


def test_litter_is_no_picture_and_what_is_passed_over_is_named(tmp_path):
    litter = ["happy/@eaDir/a.jpg", "#recycle/sad/a.jpg", "$RECYCLE.BIN/a.jpg", "lost+found/a.jpg"]
    litter += ["__MACOSX/happy/._a.jpg", "happy/.ipynb_checkpoints/a.jpg", "System Volume Information/a"]
    files = ["happy/._a.jpg", "happy/Thumbs.db", "happy/ehthumbs.db", "Icon\r", "happy/.a.jpg"]
    listing = list_pictures(tree(tmp_path, "happy/a.jpg", *litter, *files))
    assert listing.pictures["source"].tolist() == ["happy/a.jpg"]
    assert reasons(listing) == {"happy/.a.jpg": "hidden_file"}
    assert listing.warnings[-1].startswith("left out, as hidden or litter: #recycle, $RECYCLE.BIN")
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
    assert "1 files set aside: a folder that cannot be read: File name too long" in listing.warnings
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


@pytest.mark.parametrize(
    ("files", "source", "said"),
    [
        (
            ("l.csv:file,label\nnone.jpg,happy\n",),
            "l.csv",
            "no row of {} can be used (file_not_found 1), such as none.jpg: row 2: there is no such file",
        ),
        (("l.csv:file,label\n",), "l.csv", "{} has no row below its header"),
        (("l.tsv:file\tclass\n",), "l.tsv", "{} needs the columns file and label; it has: file, class"),
        (("photos.zip:x",), "photos.zip", "{} is an archive; unpack it, and name the folder"),
        (("s/photos.zip:x",), "s", "{} holds no class folder; unpack photos.zip there"),
        (
            ("s/a.jpg:x", "s/l.csv:file,label\na.jpg,happy\n"),
            "s",
            "but a table of file and label: name {}/l.csv",
        ),
        (("a.jpg:x",), "a.jpg", "{} is a file; name a folder of class folders, a table"),
        (
            ("s/train/1/a.jpg:x", "s/train/7/a.jpg:x"),
            "s",
            "rename numbers to expressions. RAF-DB: 1 surprise, 2 fear",
        ),
        (
            ("s/happy/a.jpg:",),
            "s",
            "no file in {} can be used (not_a_picture 1), such as happy/a.jpg: the file is empty",
        ),
    ],
)
def test_a_source_of_no_use_is_told_as_what_it_is(tmp_path, monkeypatch, files, source, said):
    for name, content in (file.split(":", 1) for file in files):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    with pytest.raises(SourceError) as caught:
        list_pictures(tmp_path / source)
    assert said.format(tmp_path / source) in str(caught.value)


def test_a_source_of_links_says_where_the_pictures_are(tmp_path):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "happy").symlink_to(tree(tmp_path / "real", "happy/a.jpg") / "happy")
    with pytest.raises(
        SourceError, match=f"nothing but links .* happy, which links to {tmp_path}/real/happy"
    ):
        list_pictures(tmp_path / "s")


def test_a_source_that_is_a_pipe_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "p.csv")
    for call in (list_pictures, fingerprint):
        with pytest.raises(SourceError, match="is no file and no folder"):
            call(tmp_path / "p.csv")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_a_table_as_programs_save_it(tmp_path, encoding, mark, newline):
    tree(tmp_path, "pics/ä, b.jpg")
    quote = '"' if mark == "," else ""
    rows = [f'"Label"{mark}FILE{mark}note', f"happy{mark}{quote}pics/ä, b.jpg{quote}{mark}x", ""]
    (tmp_path / "l.tsv").write_bytes(newline.join(rows).encode(encoding))
    assert listed(tmp_path / "l.tsv") == {("pics/ä, b.jpg", "happy", "")}


def test_a_bad_row_ends_no_run(tmp_path):
    tree(tmp_path, "pics/a.jpg")
    rows = ["file,label,split", "pics/a.jpg,happy,dev", "x" * 300 + ".jpg,happy,", "a\0b.jpg,sad,", ",sad,"]
    rows += ["pics/a,b.jpg,happy,test", "pics/a.jpg", "pics/a.jpg,5,", "pics/a.jpg,sad,exam", ""]
    (tmp_path / "l.csv").write_text("\n".join(rows))
    listing = list_pictures(tmp_path / "l.csv")
    assert listing.pictures["source_split"].tolist() == ["val"]
    found = {
        detail.split(":")[0]: reason for reason, detail in listing.rejected[["reason", "detail"]].to_numpy()
    }
    assert found == {
        "row 3": "file_not_found",
        "row 4": "file_not_found",
        "row 5": "bad_row",
        "row 6": "bad_row",
        "row 7": "unknown_class",
        "row 8": "unknown_class",
        "row 9": "unknown_split",
    }
    assert listing.warnings[-1].startswith("rename numbers to expressions")
    assert len(fingerprint(tmp_path / "l.csv")) == 16


def test_absolute_paths_and_a_column_of_splits_by_another_name(tmp_path):
    tree(tmp_path / "pics", "a.jpg")
    (tmp_path / "l.csv").write_text(f"file,label,usage\n{tmp_path}/pics/a.jpg,happy,Test\n")
    listing = list_pictures(tmp_path / "l.csv")
    assert listing.pictures["path"].tolist() == [str(tmp_path / "pics" / "a.jpg")]
    assert "the column 'usage' holds splits and is not used; call it split" in listing.warnings


@pytest.mark.parametrize("name", ["set.csv", "set.yaml", "set.zip"])
def test_a_folder_may_be_called_like_a_file(tmp_path, name):
    assert listed(tree(tmp_path / name, "happy/a.jpg", "happy/b.csv/c.jpg")) == {
        ("happy/a.jpg", "happy", ""),
        ("happy/b.csv/c.jpg", "happy", ""),
    }


def test_a_row_that_is_there_twice_is_one_picture():
    columns = ["image_id", "source", "label", "source_split"]
    kept, rejected = set_doubles_aside(pd.DataFrame([("x", "a", "sad", "")] * 3, columns=columns))
    assert len(kept) == 1 and rejected["reason"].tolist() == ["duplicate_file"] * 2
    rows = [("x", "a", "sad", ""), ("x", "a", "fear", "")]
    kept, rejected = set_doubles_aside(pd.DataFrame(rows, columns=columns))
    assert kept.empty and rejected["reason"].tolist() == ["conflicting_labels"] * 2


def test_equal_files_are_told_apart_by_their_labels():
    rows = [
        ("x", "b", "happy", "train"),
        ("x", "a", "happy", "train"),
        ("y", "c", "sad", "train"),
        ("y", "d", "fear", "test"),
        ("z", "e", "sad", ""),
        ("z", "f", "sad", "val"),
        ("z", "g", "sad", "test"),
    ]
    columns = ["image_id", "source", "label", "source_split"]
    kept, rejected = set_doubles_aside(pd.DataFrame(rows, columns=columns))
    assert sorted(kept["source"]) == ["a", "g"], "the first, but one of the test split before all others"
    found = rejected.set_index("source")[["reason", "detail"]].T.to_dict("list")
    assert found == {
        "b": ["duplicate_file", "same file as a"],
        "c": ["conflicting_labels", "same file under fear, sad"],
        "d": ["conflicting_labels", "same file under fear, sad"],
        "e": ["duplicate_file", "same file as g"],
        "f": ["duplicate_file", "same file as g"],
    }


@pytest.mark.skipif(not SHARED.exists(), reason="wants the real photos")
def test_real_photos_from_the_web():
    counts = list_pictures(SHARED).pictures.groupby(["source_split", "label"]).size()
    assert counts.unstack().loc["train"].eq(60).all() and counts.unstack().loc["test"].eq(20).all()
