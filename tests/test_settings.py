"""Settings enter once, typed; a mistake is one line that names the file, the key and the mend."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from fer_tasks.models import check_model
from fer_tasks.recipes import make_transform
from fer_tasks.settings import Settings, SettingsError, load_grid, load_settings, load_source
from fer_tasks.settings.section import Section
from fer_tasks.settings.source import SOURCES

ROOT = Path(__file__).parents[1]
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    return path


def changed(place: str, value: object) -> str:
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    *way, key = place.split(".")
    section = params
    for name in way:
        section = section[name]
    section[key] = value
    return yaml.safe_dump(params)


def message(path: Path) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(path)
    return str(caught.value)


def texts(path: Path) -> Iterator[str]:
    """The string literals of a module, `{}` for what an f-string fills in; all of another file."""
    if path.suffix != ".py":
        yield path.read_text()
        return
    tree = ast.parse(path.read_text())
    inner = {part for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in inner:
            yield node.value


def is_key(key: str) -> bool:
    """Is there such a key in params.yaml? What lies below a dict may have any name."""
    model: Any = Settings
    for name in key.split("."):
        if not isinstance(model, type) or not issubclass(model, Section):
            return True
        if name not in model.model_fields:
            return False
        model = model.model_fields[name].annotation
    return True


def test_every_key_of_params_yaml_that_is_named_somewhere_is_there():
    sections, suffixes = "|".join(Settings.model_fields), "html|csv|lock|log|py|json|md"
    named = re.compile(rf"(?<![\w/.])((?:{sections})\.(?!(?:{suffixes})\b)[a-z_{{}}][a-z_.{{}}]*+)(?!\()")
    paths = [path for part in ("flows", "fer_tasks", "apps") for path in (ROOT / part).rglob("*.py")]
    paths += [ROOT / name for name in ("README.md", "Makefile", "params.yaml")]
    found = {
        (path.name, key.rstrip(".")) for path in paths for text in texts(path) for key in named.findall(text)
    }
    assert {key for _, key in found} >= {"download.source", "train.size"}
    assert {(file, key) for file, key in found if not is_key(key)} == set()


def test_the_project_s_own_settings_are_right():
    settings = load_settings(ROOT / "params.yaml")
    for steps in settings.make_features.recipes.values():
        make_transform(steps)
    for file in (ROOT / "sources").glob("*.yaml"):
        load_source(file)
    for file in (ROOT / "grids").glob("*.yaml"):
        for cell in load_grid(file.stem, ROOT / "grids").cells:
            assert cell.recipe in settings.make_features.recipes
            check_model(cell.model, cell.options)


@pytest.mark.parametrize("section", PARAMS)
def test_a_mistyped_key_is_named_with_what_was_meant(tmp_path, section):
    key = next(iter(PARAMS[section]))
    text = message(written(tmp_path, changed(f"{section}.{key}x", 1)))
    assert f"params.yaml: {section}.{key}x: unknown key; did you mean {key!r}?" in text


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("crop_faces.min_score", 1.5, "less than or equal to 1"),
        ("crop_faces.size", "large", "valid integer"),
        ("clean.rules.max_roll", -3, "greater than 0"),
        ("clean.val_share", 1, "less than 1"),
        ("train.workers", 0, "greater than or equal to 1"),
        ("drop_text.engine", "tesseract", "'local'"),
        ("download.source", "", "at least 1 character"),
        ("train.workers", True, "YAML takes yes, no, on and off for true and false"),
        ("crop_faces.margin", False, "valid number"),
        ("crop_faces.size", "150", "valid integer"),
        ("ablation.training.learning_rate", float("inf"), "finite number"),
    ],
)
def test_a_value_out_of_range_is_named_with_the_range(tmp_path, place, value, said):
    text = message(written(tmp_path, changed(place, value)))
    assert f"params.yaml: {place}: " in text and said in text and repr(value) in text


@pytest.mark.parametrize("source", ["~/photos", "$HOME/photos", "${HOME}/photos"])
def test_a_source_that_a_shell_would_read_otherwise_is_told_as_it_must_be(tmp_path, monkeypatch, source):
    monkeypatch.setenv("HOME", "/home/kim")
    text = message(written(tmp_path, changed("download.source", source)))
    assert "~ and $NAME are not expanded here; write /home/kim/photos" in text


@pytest.mark.parametrize("source", [None, " ", "a\0b"])
def test_a_source_that_names_nothing(tmp_path, source):
    assert "params.yaml: download.source: " in message(written(tmp_path, changed("download.source", source)))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (None, "it is empty; input should be a valid string"),
        (2013, "Input should be a valid string (it is 2013); put a name of digits in quotes"),
        (" ", "give a folder, a table or a description in sources/ (it is ' ')"),
    ],
)
def test_what_is_wrong_with_a_source_is_told_in_plain_words(tmp_path, source, said):
    text = message(written(tmp_path, changed("download.source", source)))
    assert f"params.yaml: download.source: {said}" in text


def test_a_key_never_goes_out_unencrypted_but_to_this_machine(tmp_path):
    place = "drop_text.ocr_space.url"
    assert "url: the key would be sent unencrypted" in message(
        written(tmp_path, changed(place, "http://x.org"))
    )
    load_settings(written(tmp_path, changed(place, "http://127.0.0.1:8000")))


def test_dark_must_be_darker_than_bright(tmp_path):
    text = message(written(tmp_path, changed("clean.rules.min_brightness", 240)))
    assert "min_brightness" in text and "max_brightness" in text


def test_a_missing_key_a_missing_file_and_what_is_no_yaml(tmp_path):
    params = dict(PARAMS)
    del params["clean"]
    assert "clean: this key is missing" in message(written(tmp_path, yaml.safe_dump(params)))
    assert "is missing" in message(tmp_path / "none.yaml")
    assert "not valid YAML" in message(written(tmp_path, "download: [source"))
    (tmp_path / "params.yaml").write_bytes("download: {source: Köln}".encode("latin-1"))
    assert "not valid YAML" in message(tmp_path / "params.yaml")
    assert "params.yaml" in message(written(tmp_path, ""))
    assert "params.yaml" in message(written(tmp_path, "- a\n- b\n"))


def test_several_mistakes_are_all_told(tmp_path):
    params = yaml.safe_load(changed("train.workers", 0))
    params["report"]["exmaples"] = 3
    assert len(message(written(tmp_path, yaml.safe_dump(params))).splitlines()) == 2


def test_settings_do_not_change(tmp_path):
    settings = load_settings(ROOT / "params.yaml")
    with pytest.raises(ValueError, match="frozen"):
        settings.train.workers = 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind: sample\ntrain_per_clas: 3", "train_per_clas: unknown key; did you mean 'train_per_class'?"),
        ("kind: kagle", f"kind: choose one of {sorted(SOURCES)} (it is 'kagle')"),
        ("dataset: a/b", f"kind: choose one of {sorted(SOURCES)} (it is None)"),
        ("", f"kind: choose one of {sorted(SOURCES)} (it is None)"),
        ("kind: kaggle\nversion: latest", "Input should be 'newest' (it is 'latest')"),
    ],
)
def test_a_mistake_in_a_source_s_description_is_named(tmp_path, text, said):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_source(path)
    assert f"{path}: " in str(caught.value) and said in str(caught.value)
