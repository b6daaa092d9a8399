"""Any folder of class folders, or a CSV; every file is listed or set aside with its reason."""

import os
from pathlib import Path

import pandas as pd
import pytest

from fer_tasks.labels import EXPRESSIONS
from fer_tasks.sources.doubles import set_doubles_aside
from fer_tasks.sources.folder import SourceError, fingerprint, list_pictures

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
