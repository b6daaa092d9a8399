"""The dataset layout: what is written is read back; what is cut off is told."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import strategies as st

from fer_tasks.storage import dataset, files
from fer_tasks.storage.dataset import Dataset, IncompleteDataset, named_from, read_dataset, write_dataset

NONE = pd.DataFrame(columns=["image_id", "reason", "detail"])
IDS = st.lists(st.text("0123456789abcdef", min_size=16, max_size=16), unique=True)


def rows(root, *ids: str) -> pd.DataFrame:
    written = [dataset.write_image(root, i, b"pixels") for i in ids]
    return pd.DataFrame({"image_id": ids, "pixels": ids, "file": written, "label": "happy"})


def test_ids_that_look_like_numbers_stay_text(tmp_path):
    root = tmp_path / "raw"
    ids = ["12e4567890123456", "0012345678901234", "1234567890123456"]
    write_dataset(root, rows(root, *ids), NONE, {}, {})
    assert sorted(read_dataset(root).manifest["image_id"]) == sorted(ids)


@pytest.mark.parametrize("text", ["NA", "nan", "", "a,b", 'he said "no"', "two\nlines", "한글 ñ", "1.50"])
def test_text_comes_back_as_it_was(tmp_path, text):
    root = tmp_path / "faces"
    dropped = pd.DataFrame({"image_id": ["a"], "reason": ["has_text"], "detail": [text]})
    write_dataset(root, rows(root, "ab").assign(text=text), dropped, {}, {})
    read = read_dataset(root)
    assert read.manifest["text"].tolist() == [text] and read.rejected["detail"].tolist() == [text]


def test_without_its_last_file_a_dataset_is_incomplete(tmp_path):
    root = tmp_path / "faces"
    write_dataset(root, rows(root, "ab"), NONE, {}, {})
    (root / "dataset.json").unlink()
    with pytest.raises(IncompleteDataset, match="dvc repro crop_faces"):
        read_dataset(root)


def test_a_missing_image_is_found_out_before_the_dataset_is_declared_done(tmp_path):
    root = tmp_path / "faces"
    table = rows(root, "ab", "cd")
    (root / table["file"][1]).unlink()
    with pytest.raises(FileNotFoundError, match="1 images"):
        write_dataset(root, table, NONE, {}, {})
    assert not (root / "dataset.json").exists()


def build(data: Path) -> Dataset:
    """data/faces and data/clean of two faces, of which `clean` has one."""
    faces, clean = data / "faces", data / "clean"
    table = rows(faces, "ab", "cd")
    made_from = {str(faces): write_dataset(faces, table, NONE, {}, {})["fingerprint"]}
    named = named_from(clean, faces, table["file"])
    write_dataset(clean, table.assign(file=named)[:1], NONE, made_from, {})
    return read_dataset(clean)


def test_a_table_points_to_the_images_of_another_dataset(tmp_path):
    assert build(tmp_path).image_paths().tolist() == [str(tmp_path / "faces/images/ab/ab.png")]
    assert not (tmp_path / "clean" / "images").exists()


def test_a_table_on_another_disk_points_to_the_same_images(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "disk").mkdir()
    (tmp_path / "data" / "clean").symlink_to(tmp_path / "disk")
    (path,) = build(tmp_path / "data").image_paths()
    assert Path(path).read_bytes() == b"pixels"


def test_images_that_are_gone_or_were_made_anew_are_told(tmp_path):
    clean, faces = build(tmp_path), tmp_path / "faces"
    write_dataset(faces, rows(faces, "ab"), NONE, {}, {})
    with pytest.raises(IncompleteDataset, match="made from another .*faces than .* `dvc repro clean`"):
        clean.image_paths()
    shutil.rmtree(faces)
    with pytest.raises(IncompleteDataset, match="images of .*clean are in .*faces, .* `dvc pull .*faces`"):
        clean.image_paths()


def test_images_that_a_former_version_copied_are_read(tmp_path):
    write_dataset(tmp_path / "clean", rows(tmp_path / "clean", "ab"), NONE, {}, {})
    (path,) = read_dataset(tmp_path / "clean").image_paths()
    assert path == str(tmp_path / "clean/images/ab/ab.png")


def test_the_same_content_gives_the_same_files_in_any_order(tmp_path):
    one, two = tmp_path / "a" / "raw", tmp_path / "b" / "raw"
    dropped = pd.DataFrame({"image_id": ["y", "x"], "reason": "r", "detail": "d"})
    write_dataset(one, rows(one, "ab", "cd"), dropped, {}, {})
    write_dataset(two, rows(two, "cd", "ab"), dropped[::-1], {}, {})
    for name in ("manifest.csv", "rejected.csv", "dataset.json"):
        assert (one / name).read_bytes() == (two / name).read_bytes()


def test_what_dataset_json_says(tmp_path):
    root = tmp_path / "textfree"
    dropped = pd.DataFrame({"image_id": list("xyz"), "reason": ["b", "a", "b"], "detail": ""})
    info = write_dataset(root, rows(root, "ab"), dropped, {"data/faces": "f"}, {"side": 3})
    assert info == json.loads((root / "dataset.json").read_text())
    assert (info["stage"], info["kept"], info["rejected"]) == ("drop_text", 1, {"a": 1, "b": 2})
    again = write_dataset(root, rows(root, "ab"), dropped, {"data/faces": "f"}, {"side": 4})
    assert again["fingerprint"] != info["fingerprint"]


def test_an_empty_dataset_can_be_read(tmp_path):
    root = tmp_path / "raw"
    write_dataset(root, pd.DataFrame(columns=["image_id", "file"]), NONE, {}, {})
    assert read_dataset(root).manifest.empty and read_dataset(root).rejected.empty


def test_an_array_is_written_block_by_block(tmp_path):
    blocks = [np.full((2, 3), 7, np.uint8), np.full((1, 3), 9, np.uint8)]
    one = files.write_array(tmp_path / "X.npy", 3, blocks)
    assert files.read_array(tmp_path / "X.npy").tolist() == [[7] * 3, [7] * 3, [9] * 3]
    assert one == files.write_array(tmp_path / "Y.npy", 3, [np.concatenate(blocks)])
    with pytest.raises(ValueError, match="3 rows, not 4"):
        files.write_array(tmp_path / "X.npy", 4, blocks)


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    files.write_text(tmp_path / "a.csv", "old")
    monkeypatch.setattr(files.os, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        files.write_text(tmp_path / "a.csv", "new")
    assert (tmp_path / "a.csv").read_text() == "old"


def test_a_folder_is_emptied_where_a_link_leads_to_and_what_links_lead_to_stays(tmp_path):
    other, photos = tmp_path / "other disk", tmp_path / "photos"
    (other / "images" / "00").mkdir(parents=True)
    (other / "images" / "00" / "a.png").touch()
    (other / "dataset.json").touch()
    photos.mkdir()
    (photos / "a.jpg").touch()
    (other / "photos").symlink_to(photos)
    (tmp_path / "raw").symlink_to(other)
    dataset.empty_folder(tmp_path / "raw")
    assert list(other.iterdir()) == [] and (photos / "a.jpg").exists()
    dataset.empty_folder(tmp_path / "new")
    assert (tmp_path / "new").is_dir()


@pytest.mark.parametrize("content", ["", "{", "\0"])
def test_json_that_a_power_cut_has_spoilt_is_as_if_it_were_not_there(tmp_path, content):
    (tmp_path / "a.json").write_text(content)
    assert files.read_json(tmp_path / "a.json") is None is files.read_json(tmp_path / "b.json")
