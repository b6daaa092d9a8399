"""Columns `group_…` of a table, from the source to the clean faces and into the slices of the model card."""

from pathlib import Path

import numpy as np
import pytest

from fer_tasks.evaluation.slices import slices_of
from fer_tasks.labels import EXPRESSIONS, groups_among
from fer_tasks.sources import fer2013
from fer_tasks.sources.label_table import list_table
from fer_tasks.storage.dataset import read_with_groups, write_image
from fer_tasks.storage.images import encode_png
from flows.clean import clean
from flows.crop_faces import crop_faces
from flows.download import download
from flows.drop_text import drop_text
from flows.model_card import known_of
from testing.project_copy import ROOT, change_params
from tests.flow_runs import run_here
from tests.project import link_settings

AGES = ["05", "5", "60+", "", "nan", "1e3", "TRUE"]


def table(folder: Path, header: str = "file,label,group_id,Group_Age,group_tone") -> Path:
    """A table of 14 pictures of noise, two of each expression."""
    draw, rows = np.random.default_rng(0), [header]
    for i, label in enumerate(EXPRESSIONS * 2):
        png = encode_png(draw.integers(0, 256, (60, 60, 3), np.uint8))
        rows.append(f"{write_image(folder, f'{i:016x}', png)},{label},x, {AGES[i % 7]} ,1")
    (folder / "labels.csv").write_text("\n".join(rows))
    return folder / "labels.csv"


def test_a_table_lists_its_groups_as_text_but_not_that_of_copies(tmp_path):
    listing = list_table(table(tmp_path))
    assert (
        groups_among(listing.pictures) == ["group_age", "group_tone"] and "group_id" not in listing.pictures
    )
    assert sorted(set(listing.pictures["group_age"])) == sorted(AGES)
    assert any("'group_id' is not used" in note for note in listing.notes)


def test_a_table_without_groups_has_no_more_columns_than_before(tmp_path):
    listing = list_table(table(tmp_path, "file,label,a,b,c"))
    assert [*listing.pictures] == ["source", "path", "label", "source_split"] and not listing.notes


def test_a_table_of_pixels_may_have_groups_too(tmp_path):
    pixels = " ".join(["7"] * 2304)
    rows = ["emotion,pixels,Usage,group_age", f"3,{pixels},Training,05", f"4,{pixels},PrivateTest,"]
    (tmp_path / "fer2013.csv").write_text("\n".join(rows))
    listing = fer2013.list_pictures(tmp_path / "fer2013.csv", tmp_path, lambda *_: None)
    assert listing.pictures["group_age"].tolist() == ["05", ""]


@pytest.mark.slow
def test_groups_reach_the_clean_faces_and_the_slices_as_they_were_written(tmp_path, prefect):
    project = link_settings(tmp_path)
    (project / "pretrained").symlink_to(ROOT / "pretrained")
    (tmp_path / "photos").mkdir()
    change_params(project, download={"source": str(table(tmp_path / "photos"))}, drop_text={"engine": "none"})
    change_params(project, crop_faces={"mode": "whole"}, clean={"reject": [], "label_model": "hog"})
    run_here(project, download, crop_faces, drop_text, clean)
    dataset = read_with_groups(project / "data" / "clean")
    faces = dataset.manifest
    assert sorted(faces["group_age"]) == sorted(AGES * 2) and faces["group_tone"].eq("1").all()
    assert faces["group_id"].ne("x").all(), "that of near-copies"
    known = known_of(dataset, faces["image_id"][::-1])
    assert (
        known["group_age"].tolist() == faces["group_age"].tolist()[::-1] and known["face_side"].eq(60).all()
    )
    slices = slices_of(known.assign(label="sad"))
    assert slices["group_age"].isna().sum() == 2 and slices["group_age"].nunique() == 6
    assert slices["yaw"].isna().all() and set(slices["face size"]) == {"60 px"}
