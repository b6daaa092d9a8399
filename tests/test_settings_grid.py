"""A grid's settings: its cells, its ensembles, its students, and its smaller size."""

from pathlib import Path

import pytest
import yaml

from fer_tasks.settings import SettingsError, cells_of_size, load_grid

ROOT = Path(__file__).parents[1]


def test_an_unknown_grid_lists_the_grids():
    with pytest.raises(SettingsError, match=r"no grid 'smaple'.*sample"):
        load_grid("smaple", ROOT / "grids")


def test_cells_of_one_name_are_refused(tmp_path):
    cell = {"id": "a", "model": "m", "recipe": "r", "learning_rate": 0.1, "epochs": 1, "batch_size": 1}
    (tmp_path / "twice.yaml").write_text(yaml.safe_dump({"cells": [cell, cell]}))
    with pytest.raises(SettingsError, match="must differ.*: a"):
        load_grid("twice", tmp_path)
    (tmp_path / "best.yaml").write_text(yaml.safe_dump({"cells": [{**cell, "id": "../best"}]}))
    with pytest.raises(SettingsError, match=r"cells\.0\.id"):
        load_grid("best", tmp_path)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"loss": "hinge"}, "loss: Input should be 'categorical_crossentropy' or 'categorical_hinge'"),
        ({"schedule": "linear"}, "schedule: Input should be 'constant', 'cosine' or 'one_cycle'"),
        ({"augmentation": "heavy"}, "augmentation: Input should be 'none', 'light', 'strong' or 'wide'"),
        ({"precision": "bfloat16"}, "precision: Input should be 'float32' or 'mixed_bfloat16'"),
        ({"ema": 1}, "ema: Input should be less than 1"),
        ({"fine_tune": {"epochs": 2}}, "fine_tune.learning_rate: this key is missing"),
        ({"fine_tune": {"learning_rat": 0.1, "epochs": 2}}, "did you mean 'learning_rate'?"),
        ({"loss": "categorical_hinge", "label_smoothing": 0.1}, "goes with loss: categorical_crossentropy"),
    ],
)
def test_a_cell_that_asks_for_what_there_is_not_is_refused(tmp_path, values, said):
    cell = {"id": "a", "model": "m", "recipe": "r", "learning_rate": 1, "epochs": 1, "batch_size": 1}
    (tmp_path / "wrong.yaml").write_text(yaml.safe_dump({"cells": [{**cell, **values}]}))
    with pytest.raises(SettingsError) as caught:
        load_grid("wrong", tmp_path)
    assert said in str(caught.value) and "cells.0" in str(caught.value)


def test_a_reduced_grid_has_the_same_cells_on_fewer_pictures_and_epochs():
    grid = load_grid("report-2021", ROOT / "grids")
    full, reduced = (cells_of_size(grid, size) for size in ("full", "reduced"))
    assert full == grid.cells and [cell.id for cell in reduced] == [cell.id for cell in full]
    assert {cell.pictures for cell in reduced} == {grid.reduced.pictures}
    for cell, whole in zip(reduced, full, strict=True):
        assert cell.epochs == min(whole.epochs, grid.reduced.epochs)
        assert bool(cell.fine_tune) == bool(whole.fine_tune)
        assert not cell.fine_tune or cell.fine_tune.epochs <= grid.reduced.epochs
        assert cell.all_epochs < whole.all_epochs


def test_a_grid_that_has_no_smaller_size_says_how_it_gets_one():
    with pytest.raises(SettingsError, match="train.size: this grid has no reduced size.*reduced: {pictures"):
        cells_of_size(load_grid("sample", ROOT / "grids").model_copy(update={"reduced": None}), "reduced")


def grid_of(tmp_path: Path, *cells: dict, ensembles: list[dict]) -> Path:
    cell = {"model": "m", "recipe": "r", "learning_rate": 1, "epochs": 1, "batch_size": 1}
    content = {"cells": [{**cell, **one} for one in cells], "ensembles": ensembles}
    (tmp_path / "made.yaml").write_text(yaml.safe_dump(content))
    return tmp_path


DISTIL = {"temperature": 4, "soft": 0.9, "hard": 0.1}
STUDENT = {"id": "student", "distil": {**DISTIL, "teacher": "pair"}}


def test_a_grid_knows_what_waits_for_what_and_what_its_leaderboard_shows(tmp_path):
    ensembles = [{"id": "pair", "members": ["a", "b"]}, {"id": "seen-twice", "members": ["student"]}]
    grid = load_grid("made", grid_of(tmp_path, STUDENT, {"id": "a"}, {"id": "b"}, ensembles=ensembles))
    needs = {"student": {"pair"}, "a": set(), "b": set(), "pair": {"a", "b"}, "seen-twice": {"student"}}
    assert grid.needs == needs
    of_pair = ["pair", "pair.log_likelihood", "pair.hinge"]
    assert grid.ids == ["student", "a", "b", *of_pair, "seen-twice"], "one member has one weight"


@pytest.mark.parametrize(
    ("student", "ensemble", "said"),
    [
        ({}, {"members": ["a", "bb"]}, "ensembles.0.members: no cell 'bb' in this grid; did you mean 'b'?"),
        ({}, {"members": ["pair"]}, "ensembles.0.members: no cell 'pair' in this grid; choose one of ["),
        ({}, {"members": ["a", "a"]}, "ensembles.0.members: a cell appears twice"),
        ({}, {"members": ["a", "student"]}, "these wait for each other in a circle: "),
        ({}, {"members": []}, "ensembles.0.members: "),
        ({}, {"id": "a", "members": ["b"]}, "must differ from each other and from 'best': a"),
        ({}, {"id": "best", "members": ["b"]}, "must differ from each other and from 'best': best"),
        ({"id": "pair.hinge"}, {}, "must differ from each other and from 'best': pair.hinge"),
        ({}, {"margin": 0}, "ensembles.0.margin: Input should be greater than 0"),
        ({}, {"test_time_augmentation": "flips"}, "'none', 'flip' or 'perturbations' (it is 'flips')"),
        (
            {"teacher": "par"},
            {},
            "cells.0.distil.teacher: no cell or ensemble 'par' in this grid; did you",
        ),
        ({"teacher": "student"}, {}, "these wait for each other in a circle: student, student"),
        ({"temperature": 0}, {}, "cells.0.distil.temperature: Input should be greater than 0"),
        ({"soft": 0}, {}, "cells.0.distil.soft: Input should be greater than 0"),
        ({"hrd": 1}, {}, "cells.0.distil.hrd: unknown key; did you mean 'hard'?"),
    ],
)
def test_ensembles_and_students_of_what_there_is_not_are_refused(tmp_path, student, ensemble, said):
    distil = {key: value for key, value in student.items() if key != "id"}
    taught = {"id": student.get("id", "student"), "distil": {**STUDENT["distil"], **distil}}
    made = {"id": "pair", "members": ["a", "b"], **ensemble}
    folder = grid_of(tmp_path, taught, {"id": "a"}, {"id": "b"}, ensembles=[made])
    with pytest.raises(SettingsError) as caught:
        load_grid("made", folder)
    assert "made.yaml: " in str(caught.value) and said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
