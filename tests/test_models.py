"""The models: shapes, parameter counts by hand, weights from a file, and mistakes told before training."""

from pathlib import Path

import keras
import numpy as np
import pytest

from fer_tasks.models import BUILDERS, BadModel, build_model, check_model

WEIGHTS = Path(__file__).parents[2] / "shared" / "weights" / "mobilenet_v2_0.35_224_no_top.weights.h5"
TINY = {"backbone": "MobileNetV2", "alpha": 0.35, "weights": "none"}
OPTIONS = {"alizadeh_fazel": {}, "transfer": TINY}


@pytest.mark.parametrize("shape", [(32, 32, 1), (48, 64, 3)])
@pytest.mark.parametrize("name", BUILDERS)
def test_every_model_gives_probabilities(name, shape):
    model = build_model(name, shape, 7, **OPTIONS[name])
    out = model(np.random.default_rng(0).random((2, *shape), np.float32)).numpy()
    assert out.shape == (2, 7) and out.dtype == np.float32
    assert np.allclose(out.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(("side", "channels"), [(48, 1), (150, 3)])
def test_the_paper_s_layers_by_their_parameters(side, channels):
    convolutions = [(channels, 64, 3), (64, 128, 5), (128, 512, 3), (512, 512, 3)]
    expected = sum(i * o * k * k + o + 4 * o for i, o, k in convolutions)
    flat = (side // 16) ** 2 * 512
    expected += sum(i * o + o + 4 * o for i, o in [(flat, 256), (256, 512)]) + 512 * 7 + 7
    assert build_model("alizadeh_fazel", (side, side, channels), 7).count_params() == expected


def test_dropout_and_norm_are_options():
    model = build_model(
        "alizadeh_fazel", (16, 16, 1), 7, conv_dropout=0.1, dense_dropout=0.3, norm_momentum=0.8
    )
    rates = [layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    assert rates == [0.1] * 4 + [0.3] * 2
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert len(norms) == 6 and {layer.momentum for layer in norms} == {0.8}


def test_a_frozen_backbone_trains_its_head_alone():
    frozen, whole = (build_model("transfer", (32, 32, 3), 7, **TINY, trainable=t) for t in (False, True))
    assert len(frozen.trainable_weights) == 2 < len(whole.trainable_weights)


def test_mobilenet_v2_sees_minus_one_to_one():
    model = build_model("transfer", (32, 32, 1), 7, **TINY)
    rescaling = next(layer for layer in model.layers if isinstance(layer, keras.layers.Rescaling))
    assert rescaling(np.array([0.0, 255.0])).numpy().tolist() == pytest.approx([-1, 1])


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("smal_cnn", {}, r"no model 'smal_cnn'; choose one of \['alizadeh_fazel', 'transfer'\]"),
        ("alizadeh_fazel", {"droput": 1}, "its options: .*'conv_dropout'"),
        ("transfer", {"backbone": "ResNet1"}, "no backbone 'ResNet1'; choose one of"),
        ("transfer", {**TINY, "weights": "none.h5"}, "there is no file none.h5"),
        ("transfer", {**TINY, "backbone": "EfficientNetB0"}, "EfficientNetB0 has no alpha"),
    ],
)
def test_mistakes_say_what_there_is(name, options, said):
    with pytest.raises(BadModel, match=said):
        build_model(name, (48, 48, 3), 7, **options)


def test_shapes_that_a_model_cannot_take():
    with pytest.raises(BadModel, match="side below 16 px"):
        build_model("alizadeh_fazel", (12, 48, 1), 7)
    with pytest.raises(BadModel, match="takes images"):
        build_model("alizadeh_fazel", (900,), 7)
    with pytest.raises(BadModel, match="no model"):
        check_model("mlp", {})


@pytest.mark.filterwarnings("ignore")  # Keras tells of each layer that the file lacks
def test_a_file_that_does_not_fit(tmp_path):
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    other.save_weights(tmp_path / "other.weights.h5")
    with pytest.raises(BadModel, match="does not fit MobileNetV2"):
        build_model("transfer", (32, 32, 3), 7, **{**TINY, "weights": str(tmp_path / "other.weights.h5")})


def test_weights_of_a_file_are_those_of_the_backbone(tmp_path):
    body = keras.applications.MobileNetV2(
        alpha=0.35, input_shape=(64, 64, 3), include_top=False, weights=None
    )
    body.save_weights(tmp_path / "body.weights.h5")
    model = build_model("transfer", (32, 32, 3), 7, **{**TINY, "weights": str(tmp_path / "body.weights.h5")})
    loaded = next(layer for layer in model.layers if isinstance(layer, keras.Model))
    assert all(np.array_equal(a, b) for a, b in zip(body.get_weights(), loaded.get_weights(), strict=True))


@pytest.mark.skipif(not WEIGHTS.exists(), reason="wants a file of ImageNet weights")
def test_imagenet_weights_of_another_size_load():
    model = build_model("transfer", (96, 96, 3), 7, **{**TINY, "weights": str(WEIGHTS)})
    first = next(layer for layer in model.layers if isinstance(layer, keras.Model)).get_layer("Conv1")
    assert 0.05 < np.std(first.get_weights()[0]) < 1


def test_without_a_network_imagenet_says_how_to_give_a_file(tmp_path, monkeypatch):
    monkeypatch.setenv(
        "https_proxy", "http://127.0.0.1:9"
    )  # nothing listens there: the download is cut at once
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path))
    with pytest.raises(BadModel, match="could not be downloaded.*give `weights` a .weights.h5 file"):
        build_model("transfer", (96, 96, 3), 7, backbone="MobileNetV2", alpha=0.35)
