"""A network as ONNX gives the answers of the network itself, or it is not exported."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from fer_tasks.models import build_model
from fer_tasks.models.batch_norm import BatchNormalization
from fer_tasks.training.fit import build_in_precision
from flows.grid.model_export import ExportFailed, export_model, run_onnx


def export(folder: Path, model: keras.Model) -> tuple[bytes, float]:
    """By way of files, as `train` does: run back on every other one of 20 pictures."""
    model.save(folder / "model.keras")
    np.save(folder / "X.npy", np.random.default_rng(0).random((20, *model.input_shape[1:]), np.float32))
    return export_model(folder / "model.keras", folder / "X.npy", np.arange(0, 20, 2), print)


def check_answers(onnx: bytes, model: keras.Model, tolerance: float) -> None:
    faces = np.random.default_rng(5).random((40, *model.input_shape[1:]), np.float32)
    assert run_onnx(onnx, faces) == pytest.approx(model.predict(faces, verbose=0), abs=tolerance)
    assert run_onnx(onnx, faces[:1]).shape == (1, 7)


def tiny(*last: layers.Layer) -> keras.Model:
    """Has a normalization by constants, as EfficientNet has, which `keras.Model.export` makes inputs of."""
    inputs = [keras.Input((6, 6, 1)), layers.Normalization(mean=0.5, variance=0.08)]
    maps = [layers.Conv2D(2, 3), BatchNormalization(), layers.Flatten()]
    return keras.Sequential([*inputs, *maps, layers.Dense(7), *last, layers.Softmax()])


def test_an_exported_network_gives_the_same_probabilities(tmp_path):
    onnx, difference = export(tmp_path, model := tiny())
    assert difference < 1e-6
    check_answers(onnx, model, 1e-6)


@keras.saving.register_keras_serializable("tests")
class Noise(layers.Layer):
    """Gives other numbers at each call: no export can be right."""

    def call(self, inputs):
        return inputs + tf.random.normal((7,), stddev=5)


def test_an_export_that_gives_other_probabilities_is_refused(tmp_path):
    with pytest.raises(ExportFailed, match=r"probabilities of the exported network are up to [01]\.?\d* off"):
        export(tmp_path, tiny(Noise()))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "shape", "options"),
    [
        ("resnet", (16, 16, 3), {"filters": 4}),
        ("alizadeh_fazel", (32, 32, 3), {"width": 0.1, "hog": True}),
        ("yu_zhang", (16, 16, 1), {}),
    ],
)
def test_a_network_with_layers_that_are_hard_to_convert(tmp_path, name, shape, options):
    onnx, _ = export(tmp_path, model := build_model(name, shape, 7, **options))
    check_answers(onnx, model, 1e-5)


@pytest.mark.slow
def test_a_network_of_mixed_precision_is_exported_as_float32(tmp_path):
    keras.utils.set_random_seed(0)
    model = build_in_precision(lambda: build_model("resnet", (16, 16, 3), 7, filters=4), "mixed_bfloat16")
    onnx, difference = export(tmp_path, model)
    assert difference < 1e-5
    check_answers(onnx, model, 0.02)
