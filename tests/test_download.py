"""Sources by the real stage: `python -m flows.download` in a copy of the project, or its flow there."""

import io
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from fer_tasks.errors import UserError
from fer_tasks.labels import EXPRESSIONS
from fer_tasks.settings import load_settings
from fer_tasks.storage.dataset import read_dataset
from flows.crop_faces import crop_faces
from flows.download import _copy, _whole_or_absent, download
from flows.source_files import fingerprint
from testing.kaggle_server import Kaggle, cut_after, headers_wrong, page, status, zipped
from testing.project_copy import change_params, copy_project
from tests.project import run

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect")]
SECRET = "".join(["a9b8c7", "d6e5f4"])  # in two: the project is searched for it, this file too


def photo(seed: int) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (60, 60, 3), np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


PHOTOS = {
    f"telemoji/train/{e}/{i}.png": photo(10 * k + i) for k, e in enumerate(EXPRESSIONS) for i in range(6)
}


@pytest.fixture
def project(tmp_path: Path, kaggle: Kaggle, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the project, in which the tests work, whose source is a set of the tests' own Kaggle."""
    project = copy_project(tmp_path / "project")
    described = yaml.safe_load((project / "sources" / "kaggle.yaml").read_text())
    (project / "sources" / "kaggle.yaml").write_text(yaml.safe_dump({**described, "url": kaggle.address}))
    change_params(project, download={"source": "sources/kaggle.yaml"})
    kaggle.content = zipped(PHOTOS)
    kaggle.key = f"Bearer {SECRET}"
    monkeypatch.chdir(project)
    monkeypatch.setenv("KAGGLE_API_TOKEN", SECRET)
    return project


def test_a_set_of_kaggle_comes_through_faults_and_the_key_stays_secret(project, kaggle, server, shared):
    kaggle.fail("GetDataset", status(503, Retry_After="1"), status(500))
    kaggle.fail(
        "storage", cut_after(70_000), status(429, Retry_After="1"), headers_wrong(X_Goog_Hash="md5=AAAA")
    )
    done = run(project, "flows.download", **server)
    assert done.returncode == 0, done.stdout + done.stderr
    raw = read_dataset(project / "data" / "raw")
    assert len(raw.manifest) == len(PHOTOS) and set(raw.manifest["source_split"]) == {"train"}
    said = json.loads((project / "data" / "raw" / "dataset.json").read_text())["settings"]
    assert (said["kaggle"], said["version"], said["licence"]) == ("kreinisalex/telemoji", 3, "CC0-1.0")
    assert "bytes=65536-" in kaggle.ranges(), "the second attempt asked only for the rest"
    assert all("authorization" not in one.headers for one in kaggle.received if one.call == "storage")
    files = [path for path in project.rglob("*") if path.is_file()]
    files += [*(shared / "server" / ".cache" / "server").glob("prefect.db*"), shared / "server.log"]
    assert SECRET not in done.stdout + done.stderr
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]

    calls = len(kaggle.received)
    download(load_settings())
    assert kaggle.calls()[calls:] == ["GetDataset"], "the version is known already"


def test_what_cannot_be_mended_by_waiting_is_one_line_and_leaves_nothing(project, kaggle, server):
    done = run(project, "flows.download", KAGGLE_API_TOKEN="", **server)
    said = done.stderr.splitlines()[-1]
    assert done.returncode == 1 and "refuses kreinisalex/telemoji" in said and "KAGGLE_API_TOKEN" in said
    assert "Traceback" not in done.stderr
    assert kaggle.calls() == ["GetDataset"] and not (project / "data" / "raw").exists()

    kaggle.fail("GetDataset", page())
    with pytest.raises(UserError, match="a web page"):
        download(load_settings())
    assert not (project / "data" / "raw").exists()

    download(load_settings())
    assert len(read_dataset(project / "data" / "raw").manifest) == len(PHOTOS)


def test_a_full_disk_is_one_line_and_leaves_nothing(project, small_disk, server):
    (project / "data").symlink_to(small_disk)
    done = run(project, "flows.download", **server)
    assert done.returncode == 1 and "no room in data" in done.stderr and "Traceback" not in done.stderr
    assert not list(small_disk.iterdir())

    (project / "data").unlink()
    download(load_settings())
    assert len(read_dataset(project / "data" / "raw").manifest) == len(PHOTOS)


def test_one_cheap_call_tells_whether_the_data_changed(project, kaggle):
    before = fingerprint(Path("sources/kaggle.yaml"))
    assert fingerprint(Path("sources/kaggle.yaml")) == before and "storage" not in kaggle.calls()
    kaggle.version += 1
    assert fingerprint(Path("sources/kaggle.yaml")) != before


def test_a_picture_that_vanishes_in_between_is_no_fault_of_the_disk(tmp_path):
    with (
        pytest.raises(UserError, match=r"a.jpg changed while it was read"),
        _whole_or_absent(tmp_path / "raw"),
    ):
        _copy("0123", tmp_path / "a.jpg", tmp_path / "raw")


def test_a_table_of_pixels_with_votes_reaches_the_faces(tmp_path, server, monkeypatch):
    project = copy_project(tmp_path / "project")
    source = project / "fer2013"
    source.mkdir()
    rng = np.random.default_rng(0)
    pixels = [" ".join(map(str, rng.integers(0, 256, 2304))) for _ in range(14)]
    usages = ["Training"] * 10 + ["PublicTest"] * 2 + ["PrivateTest"] * 2
    rows = [f"{i % 7},{pixels[i]},{usages[i]}" for i in range(14)]
    (source / "fer2013.csv").write_text("\n".join(["emotion,pixels,Usage", *rows, "8,1 2,Training"]) + "\n")
    tags = "neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
    votes = "\n".join([f"Usage,Image name,{tags}", *["Training,a,1,7,0,0,0,0,0,1,1,0"] * 15])
    (source / "fer2013new.csv").write_text(votes + "\n")
    beside = {
        "happy/" + "김.jpg".encode("cp949").decode("utf-8", "surrogateescape"): photo(1),
        "happy/same.png": photo(1),
        "sad/a.jpg?Signature=" + "x" * 230: photo(2),
        "sad/empty.jpg": b"",
        "fear/empty.jpg": b"",
        "sad/note.txt": b"no picture",
        "fear/note.txt": b"no picture",
        "README.txt": b"of the set",
    }
    for name, data in beside.items():
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_bytes(data)
    os.mkfifo(source / "sad" / "pipe.jpg")
    change_params(project, download={"source": "fer2013"}, crop_faces={"mode": "whole", "size": 48})
    done = run(project, "flows.download", **server, LC_ALL="POSIX")
    assert done.returncode == 0, done.stdout + done.stderr
    monkeypatch.chdir(project)
    crop_faces(load_settings())
    raw = read_dataset(project / "data" / "raw")
    photos = raw.manifest[raw.manifest["source_split"] == ""]
    assert set(photos["source"]) == {"happy/\\xb1\\xe8.jpg", "sad/a.jpg?Signature=" + "x" * 230}
    assert set(photos["file"].str[-4:]) == {".jpg"} and photos["file"].str.len().max() < 40
    reasons = raw.rejected.set_index("source")["reason"].to_dict()
    assert reasons == {
        "fer2013.csv row 000015": "bad_row",
        "happy/same.png": "duplicate_file",
        "sad/empty.jpg": "not_a_picture",
        "fear/empty.jpg": "not_a_picture",
        "sad/note.txt": "not_a_picture",
        "fear/note.txt": "not_a_picture",
        "README.txt": "no_class_folder",
        "sad/pipe.jpg": "special_file",
    }
    faces = read_dataset(project / "data" / "faces").manifest
    faces = faces[faces["source_split"] != ""]
    assert len(faces) == 14 and faces["votes_happy"].eq(0.7).all() and faces["votes_other"].eq(0.2).all()
    assert faces["source_split"].value_counts().to_dict() == {"train": 10, "val": 2, "test": 2}
    rejected = raw.rejected.set_index("source")["detail"]
    assert re.search(r"emotion '8'", rejected["fer2013.csv row 000015"])
