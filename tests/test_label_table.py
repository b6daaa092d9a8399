"""A table of file and label, as people and programs write it; and the same picture twice."""

import pandas as pd
import pytest

from fer_tasks.sources.errors import SourceError
from fer_tasks.sources.exact_duplicates import split_exact_duplicates
from fer_tasks.sources.folder import fingerprint, list_pictures
from tests.test_folder import listed, tree


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


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_a_table_as_programs_save_it(tmp_path, encoding, mark, newline):
    tree(tmp_path, "pics/ä, b.jpg")
    quote = '"' if mark == "," else ""
    rows = [f'"Label"{mark}FILE{mark}note', f"happy{mark}{quote}pics/ä, b.jpg{quote}{mark}x", ""]
    (tmp_path / "l.tsv").write_bytes(newline.join(rows).encode(encoding))
    assert listed(tmp_path / "l.tsv") == {("pics/ä, b.jpg", "happy", "")}


@pytest.mark.parametrize("above", ["", "\n", "sep=;\n", '"sep=;"\r\n\n'])
def test_spaces_and_separators_too_many_lose_no_picture(tmp_path, above):
    tree(tmp_path, "a.png", "b.png", "c.png ", "c.png")
    rows = ["file;label", "a.png ; happy", "b.png;happy;", "c.png ;sad;;", "none.png;sad", "a.png;sad;x"]
    (tmp_path / "l.csv").write_text(above + "\n".join(rows), newline="")
    assert listed(tmp_path / "l.csv") == {
        ("a.png", "happy", ""),
        ("b.png", "happy", ""),
        ("c.png ", "sad", ""),
    }
    found = list_pictures(tmp_path / "l.csv").rejected
    first = above.count("\n") + 5
    assert found["reason"].tolist() == ["bad_row", "file_not_found"]
    assert [int(detail.split()[1][:-1]) for detail in found["detail"]] == [first + 1, first]


@pytest.mark.parametrize("mark", ["\t", "|"])
def test_excel_names_the_separator(tmp_path, mark):
    tree(tmp_path, "a,b.png")
    (tmp_path / "l.csv").write_text(f"sep={mark}\nfile{mark}label\na,b.png{mark}sad\n")
    assert listed(tmp_path / "l.csv") == {("a,b.png", "sad", "")}


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


def test_a_row_that_is_there_twice_is_one_picture():
    columns = ["image_id", "source", "label", "source_split"]
    kept, rejected = split_exact_duplicates(pd.DataFrame([("x", "a", "sad", "")] * 3, columns=columns))
    assert len(kept) == 1 and rejected["reason"].tolist() == ["duplicate_file"] * 2
    rows = [("x", "a", "sad", ""), ("x", "a", "fear", "")]
    kept, rejected = split_exact_duplicates(pd.DataFrame(rows, columns=columns))
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
    kept, rejected = split_exact_duplicates(pd.DataFrame(rows, columns=columns))
    assert sorted(kept["source"]) == ["a", "g"], "the first, but one of the test split before all others"
    found = rejected.set_index("source")[["reason", "detail"]].T.to_dict("list")
    assert found == {
        "b": ["duplicate_file", "same file as a"],
        "c": ["conflicting_labels", "same file under fear, sad"],
        "d": ["conflicting_labels", "same file under fear, sad"],
        "e": ["duplicate_file", "same file as g"],
        "f": ["duplicate_file", "same file as g"],
    }
