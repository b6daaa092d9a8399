"""Whatever a settings file says: it is taken, or refused by one kind of error that names the file."""

import copy
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_tasks.cleaning.rules import check_rules
from fer_tasks.errors import UserError
from fer_tasks.models import check_model
from fer_tasks.recipes import BadRecipe, make_transform
from fer_tasks.settings import SettingsError, load_grid, load_settings, load_source
from fer_tasks.settings.yaml_file import read

ROOT = Path(__file__).parents[1]
FILES = {file: yaml.safe_load((ROOT / file).read_text()) for file in ("params.yaml", "sources/kaggle.yaml")}
FILES |= {
    file: yaml.safe_load((ROOT / file).read_text()) for file in ("sources/sample.yaml", "grids/modern.yaml")
}
WORDS = st.sampled_from(
    ["gray", "resize", "kaggle", "yes", "~", "\0", "0150", "1e-3", "", "x" * 5000, "é\ud7ff"]
)
NUMBERS = st.sampled_from([0, -1, 1, 2**70, 10**400, 0.5, 1e308, float("inf"), float("nan"), 150])
SCALARS = st.none() | st.booleans() | NUMBERS | WORDS | st.dates()
VALUES = st.recursive(
    SCALARS,
    lambda some: st.lists(some, max_size=2) | st.dictionaries(WORDS | NUMBERS, some, max_size=2),
    max_leaves=4,
)


def places(content: Any, way: tuple = ()) -> Iterator[tuple]:
    """The way to every value of a file."""
    yield way
    for key in (
        content if isinstance(content, dict) else range(len(content)) if isinstance(content, list) else ()
    ):
        yield from places(content[key], (*way, key))


def replaced(content: Any, way: tuple, value: Any) -> Any:
    if not way:
        return value
    changed = copy.deepcopy(content)
    part = changed
    for key in way[:-1]:
        part = part[key]
    part[way[-1]] = value
    return changed


def taken(file: str, path: Path) -> None:
    """Load a file as the line does, and check what it names."""
    if file == "params.yaml":
        params = load_settings(path)
        check_rules(params.clean.reject)
        for steps in params.make_features.recipes.values():
            make_transform(steps)
    elif file.startswith("grids"):
        for cell in load_grid(path.stem, path.parent).cells:
            check_model(cell.model, cell.options)
    else:
        load_source(path)


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES)
@given(st.data())
@settings(max_examples=50, deadline=None)
def test_a_file_with_any_value_anywhere(file, data):
    way = data.draw(st.sampled_from(list(places(FILES[file]))))
    text = yaml.safe_dump(replaced(FILES[file], way, data.draw(VALUES)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, Path(file).name)
        path.write_text(text)
        try:
            taken(file, path)
        except UserError as error:
            assert str(error)


OPTIONS = (
    "op",
    "size",
    "clip",
    "tile",
    "orientations",
    "pixels_per_cell",
    "cells_per_block",
    "points",
    "radius",
)
STEP = st.dictionaries(st.sampled_from([*OPTIONS, "method", "x"]), VALUES | st.integers(1, 9), max_size=3)
NAMED = st.builds(
    dict.__or__,
    STEP,
    st.fixed_dictionaries({"op": st.sampled_from(["gray", "resize", "clahe", "hog", "lbp", "rescale"])}),
)


@given(st.lists(STEP | NAMED, max_size=3))
@settings(max_examples=100, deadline=None)
def test_any_recipe(steps):
    try:
        make_transform(steps)
    except BadRecipe as error:
        assert str(error)


@given(st.text(st.sampled_from("ab:{}[]&*!|>%@`'\"\n -0159.,?#~e")))
@settings(max_examples=100, deadline=None)
def test_any_text(text):
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "params.yaml").write_text(text)
        with pytest.raises(SettingsError, match="params.yaml"):
            load_settings(Path(folder, "params.yaml"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 0150", "line 1: 0150 is not a plain number"),
        ("a: 1\nb: 0x1F", "line 2: 0x1F is not a plain number"),
        ("a: 1:30", "line 1: 1:30 is not a plain number"),
        ("a: {b: 1, b: 2}", "line 1: the key b appears twice"),
        ("a: &a [*a]", "line 1: it contains itself"),
        pytest.param("[" * 3000, "not valid YAML", id="deeply nested"),
        ("a: 2026-02-31", "not valid YAML: day is out of range"),
    ],
)
def test_what_yaml_would_take_as_something_else_is_refused(tmp_path, text, said):
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(SettingsError) as caught:
        read(tmp_path / "params.yaml")
    assert said in str(caught.value) and "params.yaml" in str(caught.value)


def test_numbers_as_people_write_them(tmp_path):
    (tmp_path / "params.yaml").write_text(
        "a: [1e-3, 5E4, 1_000, -0.5, 1.0e+2, 0, +7]\nb: &b {<<: {x: 1}, x: 2}\nc: {<<: *b}"
    )
    assert read(tmp_path / "params.yaml") == {
        "a": [0.001, 50_000, 1000, -0.5, 100, 0, 7],
        "b": {"x": 2},
        "c": {"x": 2},
    }


def test_a_folder_in_place_of_a_file(tmp_path):
    (tmp_path / "x.yaml").mkdir()
    with pytest.raises(SettingsError, match=r"x.yaml cannot be read: Is a directory"):
        load_source(tmp_path / "x.yaml")
    for name in ("x", "y" * 300):
        with pytest.raises(SettingsError, match="no grid"):
            load_grid(name, tmp_path)
