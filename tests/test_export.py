"""`monday-fer export`: each runtime answers as the model does, or there is no export."""

import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from PIL import Image

from apps.export import onnxruntime_web
from apps.export.__main__ import main
from apps.export.onnxruntime_web import runtime_files
from apps.export.parity import ExportRefused, compare
from apps.export.reference import read_reference
from apps.export.targets import TARGETS
from apps.predict.predictor import Predictor
from fer_tasks.labels import EXPRESSIONS
from fer_tasks.storage.files import read_table
from testing.review_project import make_project, write_faces
from testing.tiny_model import CROP, RECIPE, SIDE, tiny_weights, write_tiny_model
from tests.exporting import onnxruntime_web as onnxruntime_web_here
from tests.predicting import portrait, write_photos


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    """No project: faces are drawn."""
    monkeypatch.chdir(tmp_path)


def export(model: Path, to: str, *given: object) -> int:
    return main(["--to", to, "--model", str(model), *map(str, given)])


def refusal(capsys: pytest.CaptureFixture) -> str:
    *_, line = capsys.readouterr().err.splitlines()
    return line


def test_an_export_has_what_using_it_takes(model, capsys):
    assert export(model, "onnx,openvino") == 0
    told = capsys.readouterr()
    assert "compared on 42 faces of drawn faces: the project has no data" in told.err
    assert re.search(r"^export/onnx: the same answers, probabilities at most \de-0[5-9] off$", told.out, re.M)
    for name, files in (("onnx", {"model.onnx"}), ("openvino", {"model.xml", "model.bin"})):
        folder = Path("export", name)
        assert {one.name for one in folder.iterdir()} == {*files, "model.json", "README.md", "parity.json"}
        about, parity = (json.loads((folder / f"{one}.json").read_text()) for one in ("model", "parity"))
        assert about["labels"] == [*EXPRESSIONS] and about["recipe"] == RECIPE
        assert about["temperature"] == 1.5 and about["crop"]["margin"] == 0.2
        assert parity["faces"] == parity["same_answers"] == 42
        assert parity["max_difference"] < parity["tolerance"] == 1e-4
    assert [*Path("export").glob(".*")] == []


@pytest.mark.parametrize("name", ["onnx", "openvino"])
def test_the_readme_says_how_to_use_it(model, name, monkeypatch, capsys):
    export(model, name)
    monkeypatch.chdir(Path("export", name))
    check_readme(model, capsys)


def check_readme(model: Path, capsys: pytest.CaptureFixture, **instead: str) -> None:
    """Run the code of the README in this folder, with a face beside it."""
    Image.fromarray(portrait("fear", CROP["size"])).save("face.png")
    (code,) = re.findall(r"```python\n(.*?)```", Path("README.md").read_text(), re.S)
    for said, other in instead.items():
        code = code.replace(said, other)
    capsys.readouterr()
    exec(code, {})
    expression, share = capsys.readouterr().out.split()
    (row,) = Predictor(model, whole=True).predict("face.png")
    assert expression == row.expression and float(share) == pytest.approx(row.confidence, abs=1e-5)


def test_what_the_model_has_not_learnt_stays_at_0(tmp_path):
    model = write_tiny_model(tmp_path / "model", prior=[0.2, 0, 0.2, 0.2, 0.2, 0, 0.2])
    assert export(model, "onnx,openvino") == 0
    reference = read_reference(model, None)
    for name in ("onnx", "openvino"):
        answers, _ = TARGETS[name].run(Path("export", name), reference)
        assert (answers[:, [1, 5]] == 0).all()


def perturbed(source, folder: Path, _: object) -> None:
    """model.onnx with one weight that is a hundredth off."""
    network = onnx.load_from_string(source.onnx)
    weights = numpy_helper.to_array(network.graph.initializer[0]).copy()
    weights[3, 3] *= 1.01
    network.graph.initializer[0].CopyFrom(numpy_helper.from_array(weights, "weights"))
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(network.SerializeToString())


def test_a_wrong_export_is_not_kept(model, monkeypatch, capsys):
    export(model, "onnx")
    before = {one: one.read_bytes() for one in Path("export/onnx").iterdir()}
    monkeypatch.setitem(TARGETS, "onnx", TARGETS["onnx"]._replace(write=perturbed))
    assert export(model, "onnx") == 1
    assert re.search(
        r": onnx is not exported: its probabilities are up to 0\.0\d+ off, and 0\.0001 are allowed$",
        refusal(capsys),
    )
    assert {one: one.read_bytes() for one in Path("export/onnx").iterdir()} == before
    shutil.rmtree("export/onnx")
    assert export(model, "onnx,openvino") == 1
    assert [one.name for one in Path("export").iterdir()] == ["openvino"]


def test_other_answers_and_no_numbers_are_refused():
    answers = np.full((3, 7), 1 / 7)
    answers[:, 2] += 1e-5
    others = answers.copy()
    others[1, 4] += 3e-5
    with pytest.raises(ExportRefused, match="it answers otherwise on 1 of 3 faces"):
        compare(answers, others)
    with pytest.raises(ExportRefused, match="up to nan off"):
        compare(answers, np.full((3, 7), np.nan))


@pytest.mark.parametrize(
    ("recipe", "step"),
    [
        ([RECIPE[0], {"op": "clahe", "clip": 2.0, "tile": 4}, *RECIPE[1:]], "clahe"),
        ([*RECIPE[:2], {"op": "lbp"}], "lbp"),
    ],
)
def test_a_recipe_that_a_browser_cannot_compute_goes_elsewhere(tmp_path, recipe, step, capsys):
    model = write_tiny_model(tmp_path / "model", recipe=recipe)
    assert export(model, "web") == 1
    message = f"web is not exported: its recipe has the step {step}, which a browser has no code for; choose"
    assert message in refusal(capsys) and not Path("export/web").exists()
    assert export(model, "openvino") == 0
    told = Path("export/openvino/README.md").read_text()
    assert ("cv2.createCLAHE(2.0, (4, 4))" if step == "clahe" else "# here the step {'op': 'lbp'}") in told


def test_the_faces_are_those_of_the_test_split_or_of_a_folder(model, tmp_path):
    write_faces(tmp_path / "made" / "data", 20)
    project = make_project(tmp_path / "project", tmp_path / "made" / "data")
    manifest = read_table(project / "data" / "clean" / "manifest.csv")
    reference = read_reference(model, None)
    assert reference.origin.startswith("drawn faces")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        reference = read_reference(model, None)
    assert reference.origin == "the test split of data/clean"
    assert len(reference.crops) == (manifest["split"] == "test").sum() > 0
    reference = read_reference(model, write_photos(tmp_path / "trip"))
    assert reference.origin == "photos of trip" and len(reference.crops) == 2
    assert reference.inputs.shape == (2, SIDE, SIDE, 1) and reference.answers.shape == (2, 7)


WRONG = {
    "unknown": (["--to", "onyx"], "no target 'onyx'; did you mean 'onnx'?"),
    "none": (["--to", ","], "name at least one of onnx, litert, openvino, web"),
    "no model": (["--to", "onnx", "--model", "no"], "there is no folder no of a model"),
    "no faces": (["--to", "onnx", "--faces", "empty"], "empty: no picture and no video there"),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_a_wrong_command_is_told_in_one_sentence(mistake, model, capsys):
    given, message = WRONG[mistake]
    Path("empty").mkdir()
    try:
        status = main(given if "--model" in given else [*given, "--model", str(model)])
    except SystemExit as end:
        status = end.code
    assert status == 2 and message in refusal(capsys)
    assert not Path("export").exists()


def test_a_folder_of_the_users_is_left_alone(model, capsys):
    Path("export/onnx").mkdir(parents=True)
    Path("export/onnx/notes.txt").write_text("mine")
    assert export(model, "onnx") == 1
    assert "export/onnx is there and no export; move it, or name another place" in refusal(capsys)
    assert [one.name for one in Path("export/onnx").iterdir()] == ["notes.txt"]


def test_a_network_that_cannot_be_converted_is_refused_with_the_reason(model, capsys):
    assert export(model, "litert") in (1, 2)  # its model.keras is none
    assert "litert is not exported" in refusal(capsys)


def test_without_npm_it_is_said_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(onnxruntime_web, "user_cache_path", lambda _: tmp_path / "cache")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ExportRefused, match="npm, .*, is not installed; install Node.js, or name .*--onnx"):
        runtime_files(None)
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho 'npm error network: no way out' >&2\nexit 1\n")
    npm.chmod(0o755)
    with pytest.raises(ExportRefused, match=r"could not get onnxruntime-web 1.* \(npm error network: no way"):
        runtime_files(None)


def test_another_package_is_refused(tmp_path):
    with pytest.raises(ExportRefused, match="no is not there|no folder of onnxruntime-web"):
        runtime_files(tmp_path / "no")
    (tmp_path / "a.tgz").write_bytes(io.BytesIO(b"x").getvalue())
    with pytest.raises(ExportRefused, match="a.tgz is not onnxruntime-web 1.* as it was published"):
        runtime_files(tmp_path / "a.tgz")
    for name in onnxruntime_web.SHA256:
        (tmp_path / name).write_text("x")
    with pytest.raises(ExportRefused, match="ort.wasm.min.mjs is not that of onnxruntime-web 1"):
        runtime_files(tmp_path)


@pytest.mark.slow
def test_the_page_answers_as_the_model_does(model, tmp_path, monkeypatch, capsys):
    """By Node.js, as the command compares it; tests/test_export_page.py has a browser."""
    if not shutil.which("node"):
        pytest.skip("needs Node.js")
    runtime = onnxruntime_web_here(tmp_path / "runtime")
    assert export(model, "web", "--onnxruntime-web", runtime) == 0
    assert json.loads(Path("export/web/parity.json").read_text())["max_difference"] < 1e-5

    def write_wrong(source, folder: Path, runtime: Path) -> None:
        web.write(source, folder, runtime)
        code = (folder / "model" / "recipe.mjs").read_text()
        (folder / "model" / "recipe.mjs").write_text(code.replace("value / 255", "value / 256"))

    web = TARGETS["web"]
    monkeypatch.setitem(TARGETS, "web", web._replace(write=write_wrong))
    assert export(model, "web", "--out", "other", "--onnxruntime-web", runtime) == 1
    assert re.search(r"web is not exported: its probabilities are up to 0\.0\d+ off", refusal(capsys))
    assert not Path("other/web").exists()


@pytest.mark.slow
def test_litert_answers_as_the_model_does(tmp_path, monkeypatch, capsys):
    import keras

    inputs = [keras.Input((SIDE, SIDE, 1)), keras.layers.AveragePooling2D(8), keras.layers.Flatten()]
    network = keras.Sequential([*inputs, keras.layers.Dense(7, activation="softmax", use_bias=False)])
    network.layers[-1].set_weights([tiny_weights()])
    network.save(tmp_path / "tiny.keras")
    model = write_tiny_model(tmp_path / "model", keras=(tmp_path / "tiny.keras").read_bytes())
    assert export(model, "litert") == 0
    assert json.loads(Path("export/litert/parity.json").read_text())["max_difference"] < 1e-5
    monkeypatch.chdir("export/litert")
    check_readme(model, capsys, ai_edge_litert="tensorflow.lite.python")
