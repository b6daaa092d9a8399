"""Any folder of class folders, or a CSV; every file is listed or rejected with its reason."""

import os
from pathlib import Path

import pytest

from fer_tasks.labels import EXPRESSIONS
from fer_tasks.sources.errors import SourceError
from fer_tasks.sources.folder import fingerprint, list_pictures
from fer_tasks.sources.listing import Listing

SHARED = Path(__file__).parents[2] / "shared" / "data" / "sample"


def tree(root: Path, *files: str) -> Path:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(file.encode())
    return root


def listed(root: Path) -> set[tuple[str, str, str]]:
    pictures = list_pictures(root).pictures
    return set(pictures[["source", "label", "source_split"]].itertuples(index=False, name=None))


def reasons(listing: Listing) -> dict[str, str]:
    return dict(zip(listing.rejected["source"], listing.rejected["reason"], strict=True))


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
    assert "2 files rejected: folder 'contempt'" in said and "no picture of fear" in said


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
    with pytest.raises(SourceError, match="the nearest folder that exists is"):
        fingerprint(tmp_path / "quite" / "elsewhere")


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


def test_a_person_called_dev_is_no_split(tmp_path):
    files = ["happy/dev/a.jpg", *(f"happy/p{i}/a.jpg" for i in range(5)), "sad/val/a.jpg", "sad/test/a.jpg"]
    listing = list_pictures(tree(tmp_path, *files))
    assert listed(tmp_path) == {(name, name.split("/")[0], "") for name in files[:6]} | {
        ("sad/val/a.jpg", "sad", "val"),
        ("sad/test/a.jpg", "sad", "test"),
    }
    assert "not used as splits, since the folders beside them are not splits: happy/dev" in listing.warnings


def test_of_splits_in_a_class_folder_an_unknown_one_is_set_aside(tmp_path):
    listing = list_pictures(tree(tmp_path, "sad/train/a.jpg", "sad/test/a.jpg", "sad/extra/a.jpg"))
    assert listing.pictures["source_split"].tolist() == ["test", "train"]
    assert reasons(listing) == {"sad/extra/a.jpg": "unknown_split"}


def test_links_and_missing_files_are_a_warning_each(tmp_path):
    source = tree(tmp_path / "s", "train/happy/a.jpg")
    (source / "test").symlink_to(tree(tmp_path / "elsewhere", "happy/b.jpg"))
    said = f"1 file rejected, such as test: links to {tmp_path}/elsewhere"
    assert said in list_pictures(source).warnings
    rows = [f"gone/{i:04}.jpg,sad" for i in range(1000)]
    (source / "l.csv").write_text("\n".join(["file,label", "train/happy/a.jpg,happy", *rows]))
    said = [line for line in list_pictures(source / "l.csv").warnings if "rejected, such as" in line]
    assert said == ["1,000 files rejected, such as gone/0000.jpg: row 3: there is no such file"]


@pytest.mark.parametrize(
    ("files", "named"),
    [
        (["images/happy/a.jpg", "images/contempt/a.jpg"], "contempt"),
        (["happy/a.jpg", "contempt/kim/a.jpg"], "contempt"),
        (["happy/a.jpg", "train/images/contempt/a.jpg"], "train/images/contempt"),
    ],
)
def test_the_unknown_class_is_the_folder_that_should_be_one(tmp_path, files, named):
    listing = list_pictures(tree(tmp_path, *files))
    assert f"1 file rejected: folder {named.split('/')[-1]!r}" in "\n".join(listing.warnings)


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("archive/fer2013/train/happy/a.jpg", "in its upper 3 levels; name {}/archive/fer2013 as the source"),
        ("a/b/c/happy/a.jpg", "in its upper 3 levels; name {}/a/b/c as the source"),
        ("DATASET/train/1/a.jpg", "RAF-DB: 1 surprise"),
    ],
)
def test_classes_too_deep_and_numbers_below_another_folder_are_told(tmp_path, file, said):
    with pytest.raises(SourceError) as caught:
        list_pictures(tree(tmp_path, file))
    assert said.format(tmp_path) in str(caught.value)


def test_pictures_without_a_split_among_others_with_one_are_told(tmp_path):
    files = ["train/sad/a.jpg", "test/sad/a.jpg", "sad/b.jpg"]
    assert (
        "1 picture is in no split while others are; it counts as train"
        in list_pictures(tree(tmp_path, *files)).warnings
    )


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
        (("photos.zip:x",), "photos.zip", "{} is an archive; unpack it and name the folder"),
        (("s/photos.zip:x",), "s", "{} has no class folder; unpack photos.zip there"),
        (
            ("s/a.jpg:x", "s/l.csv:file,label\na.jpg,happy\n"),
            "s",
            "but a table of file and label: name {}/l.csv as the source",
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
        SourceError,
        match=f"only links .* happy, which links to {tmp_path}/real/happy; copy the files",
    ):
        list_pictures(tmp_path / "s")


def test_a_source_that_is_a_pipe_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "p.csv")
    for call in (list_pictures, fingerprint):
        with pytest.raises(SourceError, match="is neither a file nor a folder"):
            call(tmp_path / "p.csv")


@pytest.mark.parametrize("name", ["set.csv", "set.yaml", "set.zip"])
def test_a_folder_may_be_called_like_a_file(tmp_path, name):
    assert listed(tree(tmp_path / name, "happy/a.jpg", "happy/b.csv/c.jpg")) == {
        ("happy/a.jpg", "happy", ""),
        ("happy/b.csv/c.jpg", "happy", ""),
    }


@pytest.mark.skipif(not SHARED.exists(), reason="wants the real photos")
def test_real_photos_from_the_web():
    counts = list_pictures(SHARED).pictures.groupby(["source_split", "label"]).size()
    assert counts.unstack().loc["train"].eq(60).all() and counts.unstack().loc["test"].eq(20).all()
