"""Backbones: what they see, where their weights come from, and what trains in which phase."""

from itertools import product
from pathlib import Path

import keras
import numpy as np
import pytest

from fer_tasks.models import BadModel, build_model
from fer_tasks.models.backbones import BACKBONES, EFFICIENT_NET_SCALE, reusing_backbones
from fer_tasks.models.batch_norm import BatchNormalization

pytestmark = pytest.mark.slow

WEIGHTS = Path(__file__).parents[2] / "shared" / "weights" / "mobilenet_v2_0.35_224_no_top.weights.h5"
TINY = {"backbone": "MobileNetV2", "alpha": 0.35, "weights": "none"}
RNG = np.random.default_rng(0)


def transfer(channels: int = 3, side: int = 32, **options: object) -> keras.Model:
    return build_model("transfer", (side, side, channels), 7, **{**TINY, **options})


def inside(model: keras.Model) -> keras.Model:
    """The backbone itself, of which a frozen one is wrapped."""
    layer = model.get_layer("backbone")
    return layer if isinstance(layer, keras.Model) else layer.layer


def step(model: keras.Model) -> dict[str, bool]:
    """One step of training: did the backbone's kernels, and its statistics of batch norm, change?"""
    model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    body = inside(model)
    before = body.get_weights()
    model.train_on_batch(RNG.uniform(0, 255, (4, *model.input_shape[1:])).astype(np.float32), np.arange(4))
    moved = [not np.array_equal(old, new) for old, new in zip(before, body.get_weights(), strict=True)]
    statistics = ["moving" in weight.path for weight in body.weights]
    return {
        "statistics": any(m for m, of in zip(moved, statistics, strict=True) if of),
        "kernels": any(m for m, of in zip(moved, statistics, strict=True) if not of),
    }


def test_a_frozen_backbone_trains_its_head_alone():
    with reusing_backbones():
        assert len(transfer().trainable_weights) == 2
        assert len(transfer(head="dnn").trainable_weights) == 4
        assert step(transfer()) == {"statistics": False, "kernels": False}


def test_in_a_second_phase_the_backbone_trains_by_the_statistics_it_came_with():
    model = transfer()
    model.get_layer("backbone").trainable = True
    assert step(model) == {"statistics": False, "kernels": True}


def test_a_network_that_trains_whole_from_the_start_gathers_its_own_statistics():
    assert step(transfer(trainable=True)) == {"statistics": True, "kernels": True}


def test_momentum_of_the_backbone_s_batch_norm():
    body = inside(transfer(norm_momentum=0.8))
    norms = [layer for layer in body.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert {layer.momentum for layer in norms} == {0.8}


def test_what_a_frozen_backbone_sees_is_the_same_in_training():
    model = transfer(backbone="EfficientNetB0", alpha=None)  # which has dropout inside
    for weight in inside(model).weights:  # a new one gives next to nothing
        if weight.dtype == "float32":
            weight.assign(weight + RNG.normal(0, 0.02, weight.shape))
    features = keras.Model(model.input, model.get_layer("features").output)
    x = RNG.uniform(0, 255, (8, 32, 32, 3)).astype(np.float32)
    seen = features(x, training=False).numpy()
    assert np.array_equal(features(x, training=True), seen) and 0 < seen.std() < np.inf


@pytest.mark.parametrize(
    ("backbone", "seen"),
    [
        (TINY, {"own": [-1, 1], "as_2021": [0, 1]}),
        ({"backbone": "MobileNetV3Small", "alpha": None}, {"own": [0, 255], "as_2021": [0, 255]}),
    ],
)
def test_what_a_backbone_sees_of_black_and_white(backbone, seen):
    with reusing_backbones():
        for preprocessing, channels in product(seen, (1, 3)):
            model = transfer(channels, **backbone, preprocessing=preprocessing)
            names = [layer.name for layer in model.layers]
            before = keras.Model(model.input, model.layers[names.index("backbone") - 1].output)
            for value, expected in zip((0, 255), seen[preprocessing], strict=True):
                out = before(np.full((1, 32, 32, channels), value, np.float32)).numpy()
                assert out.shape == (1, 32, 32, 3) and np.allclose(out, expected)


def test_heads():
    with reusing_backbones():
        for options, rates, kinds in (
            ({"dropout": 0.5}, [0.5], ["Dropout", "Dense"]),
            ({"head": "dnn", "dropout": 0.55}, [0.55], ["Dense", "Dropout", "Dense"]),
            (
                {"head": "dnn", "dropout": [0.25, 0.5]},
                [0.25, 0.5],
                ["Dropout", "Dense", "Dropout", "Dense"],
            ),
        ):
            model = transfer(**options)
            names = [layer.name for layer in model.layers]
            head = model.layers[names.index("features") + 1 :]
            assert [type(layer).__name__ for layer in head] == kinds
            assert [layer.rate for layer in head if isinstance(layer, keras.layers.Dropout)] == rates


def test_parameters_of_the_heads():
    with reusing_backbones():
        plain, dnn = transfer(), transfer(head="dnn")
    width, body = plain.get_layer("features").output.shape[1], plain.get_layer("backbone").count_params()
    assert plain.count_params() - body == 7 * width + 7
    assert dnn.count_params() - body == 256 * width + 256 + 7 * 256 + 7


def test_parameters_of_the_teacher():
    body = 54_336_736  # keras.io/api/applications gives 55.9 M with the top, 1,536,000 + 1,000 of them there
    seen = 9 * (1536 * 512 + 512 * 256) + 512 + 256 + 4 * (512 + 256)
    dense = (256 * 256 + 256) + (256 * 128 + 128) + (128 * 7 + 7)
    model = build_model("teacher", (140, 140, 3), 7, weights="none")
    assert model.count_params() == body + seen + dense
    assert model.get_layer("backbone").output.shape[1:] == (3, 3, 1536)


@pytest.mark.filterwarnings("ignore")  # Keras tells of each layer that the file lacks
def test_a_file_that_does_not_fit(tmp_path):
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    other.save_weights(tmp_path / "other.weights.h5")
    with pytest.raises(BadModel, match="does not fit MobileNetV2"):
        transfer(weights=str(tmp_path / "other.weights.h5"))


def test_weights_of_a_file_are_those_of_the_backbone(tmp_path):
    shape = (64, 64, 3)
    body = keras.applications.MobileNetV2(alpha=0.35, input_shape=shape, include_top=False, weights=None)
    body.save_weights(tmp_path / "body.weights.h5")
    loaded = inside(transfer(weights=str(tmp_path / "body.weights.h5")))
    assert all(np.array_equal(a, b) for a, b in zip(body.get_weights(), loaded.get_weights(), strict=True))


def test_an_efficient_net_sees_the_same_by_a_file_as_by_its_download(tmp_path, monkeypatch):
    name = "EfficientNetB0"
    shape = {"input_shape": (32, 32, 3), "include_top": False}
    body = BACKBONES[name](weights=None, **shape)
    norm = next(layer for layer in body.layers if isinstance(layer, keras.layers.Normalization))
    norm.set_weights([np.array([0.485, 0.456, 0.406]), np.square(EFFICIENT_NET_SCALE), np.array(0)])
    file = tmp_path / "body.weights.h5"
    body.save_weights(file)
    monkeypatch.setattr("keras.src.utils.file_utils.get_file", lambda *_, **__: str(file))  # the download
    ways = [transfer(backbone=name, alpha=None, weights=weights) for weights in ("imagenet", str(file))]
    x = RNG.uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    one, other = (inside(model)(x).numpy() for model in ways)
    plain = body(x).numpy()
    np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3 * np.abs(one).max())
    assert not np.allclose(one, plain, rtol=1e-3, atol=1e-3 * np.abs(one).max())


@pytest.mark.skipif(not WEIGHTS.exists(), reason="wants a file of ImageNet weights")
def test_imagenet_weights_of_another_size_load():
    first = inside(transfer(side=96, weights=str(WEIGHTS))).get_layer("Conv1")
    assert 0.05 < np.std(first.get_weights()[0]) < 1


def test_without_a_network_imagenet_says_how_to_give_a_file(tmp_path, monkeypatch):
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nobody listens: the download is cut at once
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path))
    with pytest.raises(BadModel, match="could not be downloaded.*set `weights` to a .weights.h5 file"):
        transfer(side=96, weights="imagenet")


def test_of_half_a_download_imagenet_says_where_it_lies(tmp_path, monkeypatch):
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path))
    half = tmp_path / "models" / "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_96_no_top.h5"
    half.parent.mkdir()
    half.write_bytes(b"\x89HDF\r\n\x1a\n")
    with pytest.raises(BadModel, match="could not be downloaded.*remove partial files of them in ~/.keras"):
        transfer(side=96, weights="imagenet")


def test_a_backbone_computes_as_keras_has_it_but_for_the_kernel_of_its_batch_norm():
    shape = {"input_shape": (32, 32, 3), "include_top": False, "weights": None}
    theirs, ours = (
        BACKBONES["MobileNetV3Small"](**shape),
        inside(transfer(backbone="MobileNetV3Small", alpha=None)),
    )
    assert [type(layer).__name__ for layer in ours.layers] == [
        type(layer).__name__ for layer in theirs.layers
    ]
    norms = [layer for layer in ours.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert norms and all(isinstance(layer, BatchNormalization) for layer in norms)
    theirs.set_weights([np.abs(RNG.normal(0, 0.5, weight.shape)) for weight in ours.weights])
    ours.set_weights(theirs.get_weights())
    x = RNG.uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    one, other = ours(x).numpy(), theirs(x).numpy()
    np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3 * np.abs(other).max())
