"""FER2013's table of pixels becomes pictures, FER+'s votes their columns; bad rows are rejected, named."""

import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.fer_plus import decisions
from fer_tasks.cleaning.decisions import parse_decisions
from fer_tasks.cleaning.rules import RULES, doubts
from fer_tasks.labels import VOTES
from fer_tasks.settings import load_settings
from fer_tasks.sources import fer2013
from fer_tasks.sources.errors import SourceError
from fer_tasks.sources.folder import list_pictures
from fer_tasks.storage.files import write_bytes
from fer_tasks.storage.images import decode_image, encode_png
from flows.download import _list_pictures
from flows.fer2013 import SETTINGS

TAGGED = [name.removeprefix("votes_") for name in VOTES]
ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"
PLAIN = " ".join(["7"] * 2304)
VOTED = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF\n"


def save(path: Path, pixels: np.ndarray) -> None:
    write_bytes(path, encode_png(pixels))


def table(folder: Path, *rows: tuple[object, ...], header: str = "emotion,pixels,Usage") -> Path:
    path = folder / "fer2013.csv"
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


@pytest.mark.parametrize("header", ["emotion,pixels,Usage", "emotion, Usage, pixels"])
def test_both_tables_of_kaggle_are_known_by_their_header(tmp_path, header):
    rows = [(3, PLAIN, "Training"), (6, PLAIN, "PublicTest"), (0, PLAIN, "PrivateTest")]
    if "Usage, pixels" in header:
        rows = [(emotion, usage, pixels) for emotion, pixels, usage in rows]
    path = table(tmp_path, *rows, header=header)
    assert fer2013.pixel_table(path) == fer2013.pixel_table(tmp_path) == path
    pictures = fer2013.list_pictures(path, tmp_path / "cache", save).pictures
    assert pictures["label"].tolist() == ["happy", "neutral", "angry"]
    assert pictures["source_split"].tolist() == ["train", "val", "test"]


@pytest.mark.parametrize("header", ['"emotion","pixels","Usage"', "\ufeffemotion;pixels;Usage"])
def test_the_table_may_be_quoted_or_parted_otherwise(tmp_path, header):
    row = (3, PLAIN, "Training")
    path = table(tmp_path, row, header=header)
    if ";" in header:
        path.write_text(path.read_text().replace(",", ";"))
    (tmp_path / "a.csv").mkdir()
    assert fer2013.pixel_table(tmp_path) == path
    assert fer2013.list_pictures(path, tmp_path / "cache", save).pictures["label"].tolist() == ["happy"]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "fer2013.csv has no row below its header"),
        (
            [(3, "1 2", "Training")],
            "(bad_row 1), such as fer2013.csv row 000001: 2 pixels; there must be",
        ),
    ],
)
@pytest.mark.parametrize("named", ["fer2013.csv", "."])
def test_a_table_without_a_usable_row_says_why(tmp_path, monkeypatch, rows, said, named):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s").mkdir()
    table(tmp_path / "s", *rows)
    with pytest.raises(SourceError) as caught:
        _list_pictures(tmp_path / "s" / named)
    assert said in str(caught.value)


def test_what_lies_beside_the_table_is_listed_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = tmp_path / "s"
    (source / "test" / "sad").mkdir(parents=True)
    table(source, (3, PLAIN, "Training"), (9, PLAIN, "Training"))
    for name in ("test/sad/mine.jpg", "README.txt", "icml_face_data.csv"):
        (source / name).write_text("x")
    (source / "fer2013new.csv").write_text(
        VOTED + "Training,a,1,7,0,0,0,0,0,1,1,0\nTraining,,0,0,0,0,0,0,0,0,0,10\n"
    )
    found = _list_pictures(source)
    assert found.pictures[["source", "source_split"]].to_numpy().tolist() == [
        ["fer2013.csv row 000001", "train"],
        ["test/sad/mine.jpg", "test"],
    ]
    assert found.pictures["votes_happy"].notna().tolist() == [True, False]
    assert set(found.rejected["source"]) == {"fer2013.csv row 000002", "README.txt", "icml_face_data.csv"}


def test_votes_that_are_words_are_no_votes_and_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = table(tmp_path, *[(3, PLAIN, "Training")] * 3)
    rows = [
        "Training,a,1,7,0,0,0,0,0,1,1,0",
        "Training,a,many,7,0,0,0,0,0,1,1,0",
        "Training,a,-1,2,0,0,0,0,0,0,0,0",
    ]
    (tmp_path / "fer2013new.csv").write_text(VOTED + "\n".join(rows) + "\n")
    found = _list_pictures(path)
    assert found.pictures[VOTES].notna().all(axis=1).tolist() == [True, False, False]
    assert found.notes == (
        f"{tmp_path}/fer2013new.csv: the votes of 2 rows are not numbers and are not used",
    )


def test_a_second_table_of_pixels_and_votes_elsewhere_are_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    below = tmp_path / "s" / "below"
    below.mkdir(parents=True)
    first, votes = table(below, (3, PLAIN, "Training")), tmp_path / "s" / "fer2013new.csv"
    other = first.rename(below / "second.csv")
    table(below, (3, PLAIN, "Training"))
    votes.write_text(VOTED + "Training,a,1,7,0,0,0,0,0,1,1,0\n")
    of_votes = f"{votes} is not read: put FER+'s votes into the folder"
    for source, count in ((tmp_path / "s", 2), (below, 2), (first, 1)):
        found = _list_pictures(source)
        assert found.pictures["source"].tolist() == ["fer2013.csv row 000001"]
        assert len(found.notes) == count and any(note.startswith(of_votes) for note in found.notes)
        assert count == 1 or any(note.startswith(f"{other} is not read: only") for note in found.notes)


def test_votes_by_row_are_not_for_pictures_in_folders(tmp_path):
    (tmp_path / "sad").mkdir()
    (tmp_path / "sad" / "a.jpg").write_text("x")
    (tmp_path / "fer2013new.csv").write_text(VOTED + "Training,a,1,7,0,0,0,0,0,1,1,0\n")
    found = _list_pictures(tmp_path)
    assert found.pictures["source"].tolist() == ["sad/a.jpg"] and "votes_happy" not in found.pictures
    assert "its votes are for the rows of fer2013.csv, which is not the source" in found.notes[0]


def test_other_sources_are_left_alone(tmp_path):
    (tmp_path / "list.csv").write_text("file,label\na.jpg,happy\n")
    assert fer2013.pixel_table(tmp_path) is None and fer2013.pixel_table(tmp_path / "list.csv") is None


@given(st.integers(0, 2**32))
@settings(max_examples=20, deadline=None)
def test_pixels_come_out_as_they_were(seed):
    pixels = np.random.default_rng(seed).integers(0, 256, 2304).tolist()
    with tempfile.TemporaryDirectory() as folder:
        path = table(Path(folder), (1, " ".join(map(str, pixels)), "Training"))
        picture = fer2013.list_pictures(path, Path(folder, "cache"), save).pictures.iloc[0]
        image = decode_image(Path(picture["path"]).read_bytes(), 10**6)
    assert image[:, :, 0].ravel().tolist() == pixels and (image[:, :, 0] == image[:, :, 2]).all()


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ((7, PLAIN, "Training"), "emotion '7'"),
        (("", PLAIN, "Training"), "emotion ''"),
        ((1, PLAIN, "Exam"), "Usage 'Exam'"),
        ((1, PLAIN[:-2], "Training"), "2303 pixels"),
        ((1, PLAIN[:-1] + "256", "Training"), "from 0 to 255"),
        ((1, PLAIN[:-1] + "-1", "Training"), "from 0 to 255"),
        ((1, PLAIN[:-1] + "x", "Training"), "not all numbers"),
    ],
)
def test_a_bad_row_is_set_aside_and_stops_no_other(tmp_path, row, why):
    path = table(tmp_path, (2, PLAIN, "Training"), row, (3, PLAIN, "Training"))
    found = fer2013.list_pictures(path, tmp_path / "cache", save)
    assert found.pictures["source"].tolist() == ["fer2013.csv row 000001", "fer2013.csv row 000003"]
    assert found.rejected["source"].tolist() == ["fer2013.csv row 000002"]
    assert why in found.rejected["detail"].iloc[0]


def test_votes_by_row_become_shares(tmp_path):
    path = table(tmp_path, (3, PLAIN, "Training"), (9, PLAIN, "Training"), (0, PLAIN, "PublicTest"))
    votes = tmp_path / "fer2013new.csv"
    votes.write_text(
        VOTED
        + "Training,a,1,7,0,0,0,0,0,1,1,0\nTraining,,0,0,0,0,0,0,0,0,0,10\n"
        + "PublicTest,,0,0,0,0,0,0,0,0,0,0\n"
    )
    found = fer2013.list_pictures(path, tmp_path / "cache", save).pictures
    voted = fer2013.add_votes(found, [path, votes])
    assert voted[VOTES].iloc[0].tolist() == [0, 0, 0, 0.7, 0.1, 0, 0, 0.2]
    assert voted[VOTES].iloc[1].isna().all(), "nobody voted"
    votes.write_text(VOTED + "Training,a,1,7,0,0,0,0,0,1,1,0\n")
    with pytest.raises(SourceError, match="fer2013new.csv has 1 row,"):
        fer2013.add_votes(found, [votes])


def test_taggers_decide_as_reviewers_do():
    shares = {
        "stands": {"happy": 0.6, "sad": 0.4},
        "drawn": {"happy": 0.5, "sad": 0.5},
        "outvoted": {"sad": 0.6, "happy": 0.4},
        "none": {"other": 0.7, "happy": 0.3},
        "undecided": {"sad": 0.4, "fear": 0.4, "happy": 0.2},
        "unasked": dict.fromkeys(TAGGED, np.nan),
    }
    rows = [{f"votes_{name}": share.get(name, 0.0) for name in TAGGED} for share in shares.values()]
    faces = pd.DataFrame(rows).assign(
        image_id=[f"{i:016x}-0" for i in range(len(rows))], pixels="p", label="happy", case=list(shares)
    )
    said = decisions(faces)
    assert len(parse_decisions(said.to_csv(index=False))) == 4
    verdicts = faces.merge(said, on="image_id").set_index("case")["verdict"].to_dict()
    assert verdicts == {"stands": "keep", "drawn": "keep", "outvoted": "relabel", "none": "reject"}
    assert said.loc[said["verdict"] == "relabel", "label"].tolist() == ["sad"]


def test_a_name_that_the_votes_have_twice_says_nothing_and_doubles_no_picture(tmp_path):
    votes = tmp_path / "votes.csv"
    votes.write_text(
        f"file,{','.join(fer2013.TAGS)}\n"
        + "a.jpg,10,0,0,0,0,0,0,0,0,0\nb.jpg,9,1,0,0,0,0,0,0,0,0\nb.jpg,0,10,0,0,0,0,0,0,0,0\n"
    )
    pictures = pd.DataFrame({"source": ["happy/a.jpg", "happy/b.jpg", "sad/b.jpg", "sad/c.jpg"]})
    voted = fer2013.add_votes(pictures, [votes])
    assert voted["source"].tolist() == pictures["source"].tolist()
    assert voted[VOTES].notna().all(axis=1).tolist() == [True, False, False, False]


def test_votes_are_for_the_picture_that_they_name(tmp_path):
    votes, none = tmp_path / "votes.csv", "0,0,0,0,0,0,0,0,0"
    names = ["train/happy/a.jpg", "a.jpg", "b.jpg", "c.jpg"]
    votes.write_text(f"file,{','.join(fer2013.TAGS)}\n" + "".join(f"{name},10,{none}\n" for name in names))
    sources = ["train/happy/a.jpg", "train/sad/a.jpg", "sad/b.jpg", "happy/c.jpg", "sad/c.jpg"]
    pictures = pd.DataFrame({"source": sources})
    voted = fer2013.add_votes(pictures, [votes])
    assert voted[VOTES].notna().all(axis=1).tolist() == [True, False, True, False, False]
    assert fer2013.notes_on_votes(pictures, [votes]) == []
    (note,) = fer2013.notes_on_votes(pictures[3:], [votes])
    assert note.startswith(f"{votes} is not used: its column file names no picture of the source")


def test_faces_of_48_px_are_not_doubted_for_what_enlarging_does(tmp_path):
    """Every sharpness and every flatness there is, by the settings of `make fer2013`."""
    unknown = {rule.measure: np.nan for rule in RULES} | {"suggestion": "", "copy_of": ""}
    measured = {"image_id": ["a", "b"], "sharpness": [0.0, 9.0], "flatness": [1.0, 0.5]}
    measures = pd.DataFrame({**unknown, **measured})
    rules = load_settings(ROOT / "params.yaml").clean.rules.model_dump()
    assert set(doubts(measures, rules)["rule"]) == {"blurred", "drawing"}
    said = dict(one.split("=") for one in SETTINGS)
    rules |= {name: float(said[f"clean.rules.{name}"]) for name in rules if f"clean.rules.{name}" in said}
    assert doubts(measures, rules).empty


def test_the_real_files_have_their_splits_and_votes(tmp_path):
    if not (SHARED / "fer2013.zip").exists():
        pytest.skip("wants ../shared")
    with zipfile.ZipFile(SHARED / "fer2013.zip") as archive:
        names = [name for name in archive.namelist() if name.endswith(".jpg")][::400]
        archive.extractall(tmp_path, names)
    pictures = fer2013.add_votes(list_pictures(tmp_path).pictures, [SHARED / "ferplus-votes.csv"])
    expected = {"Training": "train", "PublicTest": "val", "PrivateTest": "test"}
    begins = pictures["source"].str.extract(r"/(\w+)_\d+\.jpg")[0]
    assert (begins.map(expected) == pictures["source_split"]).all() and begins.nunique() == 3
    sums = pictures[VOTES].sum(axis=1)[pictures[VOTES[0]].notna()]
    assert len(sums) > 0.9 * len(pictures) and np.allclose(sums, 1, atol=1e-3)
