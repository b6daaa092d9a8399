"""What is asked of a cell that is trained: its predictions for the current features, and its export."""

from contextlib import chdir
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers, ops

from fer_tasks.errors import UserError
from fer_tasks.storage.model_folder import read_model_folder
from flows.grid.model_probes import grad_cam_for
from flows.grid.predictions import PredictedSplit, predictions_of
from tests.training_project import in_a_flow, make_project, predicted, random_pictures, run, write_features

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained_once(prefect, tmp_path_factory) -> Path:
    """A project with one cell, trained for an epoch, and features with a test split."""
    made = make_project(tmp_path_factory.mktemp("trained"))
    write_features(made / "data/features/gray16", random_pictures()[0])
    with chdir(made):
        run(made, {"id": "a", "epochs": 1})
    return made


def test_a_cell_predicts_the_current_features(trained_once, copied, caplog):
    project = copied(trained_once)
    root = project / "data/features/gray16"
    trained_on, others = random_pictures()
    split = PredictedSplit("test", project / "models", project / "data/features", 1)

    def probabilities_and_maps() -> list[np.ndarray]:
        grad_cam = grad_cam_for("a", split.models, split.features)
        return [predictions_of(["a"], split)["a"].probabilities, grad_cam([0, 1], [3, 4])]

    def predict_all() -> list[np.ndarray]:
        return in_a_flow(probabilities_and_maps)

    before = predict_all()
    assert before[0] == pytest.approx(predicted(project, "a", slice(49, 56)), abs=1e-5)
    assert "other features" not in caplog.text

    write_features(root, others)
    after = predict_all()
    assert after[0] == pytest.approx(predicted(project, "a", slice(49, 56)), abs=1e-5)
    assert not any(np.array_equal(one, other) for one, other in zip(before, after, strict=True))
    assert f"a was trained on other features than {root} has now; `dvc repro train` trains" in caplog.text

    write_features(root, trained_on)
    (project / "models/a/model.keras").unlink()
    assert all(np.array_equal(one, other) for one, other in zip(before, predict_all(), strict=True)), "cached"

    write_features(root, np.zeros((56, 8, 8, 1), np.float32))
    with pytest.raises(
        UserError, match=r"a was trained on inputs of shape \[16, 16, 1\], .*gray16 has \[8, 8"
    ):
        in_a_flow(predictions_of, ["a"], split)


def test_a_network_that_cannot_be_exported_fails_no_training_and_says_why(trained_once, copied, caplog):
    project = copied(trained_once)
    best, file = project / "models" / "best", project / "models" / "a" / "model.keras"
    assert read_model_folder(best).info["name"] == "a"
    faces = keras.Input((16, 16, 1))
    strongest = ops.one_hot(ops.argmax(layers.Dense(7)(layers.Flatten()(faces)), axis=-1), 7)
    keras.Model(faces, strongest).save(file)  # argmax becomes a Bitcast, which ONNX Runtime has not
    run(project, {"id": "a", "epochs": 1})
    assert any("a is not exported to ONNX, so `predict` cannot use it" in line for line in caplog.messages)
    with pytest.raises(UserError, match=r"best has no model.onnx, which predicting takes: .*Bitcast"):
        read_model_folder(best)
    assert (best / "model.keras").read_bytes() == file.read_bytes()
    file.unlink()
    with pytest.raises(
        UserError, match="a/model.keras cannot be read .it is missing.; remove .*models/a, and"
    ):
        run(project, {"id": "a", "epochs": 1})
