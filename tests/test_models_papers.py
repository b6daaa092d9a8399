"""The models of the papers, layer by layer, by numbers worked out by hand."""

import keras
import pytest

from fer_tasks.models import build_model

pytestmark = pytest.mark.slow


def convolutions(*shapes: tuple[int, int, int], norm: bool = False) -> int:
    """The parameters of convolutions (channels, filters, side), each with its batch norm or without."""
    return sum(i * o * k * k + o + (4 * o if norm else 0) for i, o, k in shapes)


def dense(*shapes: tuple[int, int], norm: bool = False) -> int:
    return sum(i * o + o + (4 * o if norm else 0) for i, o in shapes)


@pytest.mark.parametrize(
    ("side", "channels", "parameters"), [(48, 1, 4_478_727), (150, 3, 13_917_063), (150, 1, 13_915_911)]
)
def test_alizadeh_fazel_deep(side, channels, parameters):
    seen = convolutions((channels, 64, 3), (64, 128, 5), (128, 512, 3), (512, 512, 3), norm=True)
    flat = (side // 16) ** 2 * 512
    expected = seen + dense((flat, 256), (256, 512), norm=True) + dense((512, 7))
    assert build_model("alizadeh_fazel", (side, side, channels), 7).count_params() == expected == parameters


def test_alizadeh_fazel_shallow():
    expected = convolutions((1, 32, 3), (32, 64, 3), norm=True) + dense((24 * 24 * 64, 512), norm=True)
    model = build_model("alizadeh_fazel", (48, 48, 1), 7, depth="shallow")
    assert model.count_params() == expected + dense((512, 7)) == 18_899_719


def test_alizadeh_fazel_without_padding():
    model = build_model("alizadeh_fazel", (96, 96, 1), 7, padding="valid")
    assert _width(model) == 3 * 3 * 512  # 96 -> 94, 47 -> 43, 21 -> 19, 9 -> 7, 3


def test_the_hybrid_sees_hog_beside_the_last_convolution():
    plain, hybrid = (build_model("alizadeh_fazel", (48, 48, 1), 7, hog=hog) for hog in (False, True))
    assert _width(hybrid) - _width(plain) == 5 * 5 * 4 * 9
    assert hybrid.count_params() - plain.count_params() == 5 * 5 * 4 * 9 * 256


def test_dropout_and_norm_are_options():
    options = {"conv_dropout": 0.1, "dense_dropout": 0.3, "norm_momentum": 0.8}
    model = build_model("alizadeh_fazel", (16, 16, 1), 7, **options)
    assert _rates(model) == [0.1] * 4 + [0.3] * 2
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert len(norms) == 6 and {layer.momentum for layer in norms} == {0.8}
    assert _rates(build_model("alizadeh_fazel", (16, 16, 1), 7)) == [0.2] * 4 + [0.5] * 2


def test_khaireddin_chen():
    for width, parameters in ((1, 7_322_055), (0.5, 1_835_239)):
        f = [round(width * filters) for filters in (64, 128, 256, 512)]
        seen = convolutions((1, f[0], 3), *((a, b, 3) for a, b in zip(f[:-1], f[1:], strict=True)), norm=True)
        seen += convolutions(*((a, a, 3) for a in f), norm=True)
        expected = seen + dense((3 * 3 * f[3], f[3]), (f[3], f[3]), norm=True) + dense((f[3], 7))
        model = build_model("khaireddin_chen", (48, 48, 1), 7, width=width, dropout=0.3)
        assert model.count_params() == expected == parameters and _rates(model) == [0.3] * 2


def test_resnet():
    for blocks, parameters in ((1, 1_944_327), (2, 3_497_095)):
        seen = convolutions((1, 32, 3), (32, 64, 3), (64, 128, 3), (128, 256, 3), norm=True)
        seen += convolutions(*((f, f, 3) for f in (64, 128, 256) for _ in range(2 * blocks)), norm=True)
        model = build_model("resnet", (48, 48, 1), 7, blocks=blocks, dropout=0.1)
        assert model.count_params() == seen + dense((256, 7)) == parameters and _rates(model) == [0.1]


def test_yu_zhang():
    seen = convolutions((1, 64, 5), (64, 64, 3), (64, 128, 3), (128, 128, 3), (128, 128, 3))
    expected = seen + dense((6 * 6 * 128, 1024), (1024, 1024), (1024, 7))  # 48 -> 24 -> 12 -> 6
    for pooling in ("max", "stochastic"):
        model = build_model("yu_zhang", (48, 48, 1), 7, pooling=pooling, dropout=0.4)
        assert model.count_params() == expected == 6_184_007 and _rates(model) == [0.4] * 2


def test_mlcnn_has_the_parameters_that_its_authors_published():
    blocks = 13_091_904  # conv_1_1_net_1 … conv_5_4_net_1 of their summary, added up
    levels = 18_874_624 + 9_437_440 + 2_359_552  # dense_2_net_1, dense_3_net_1, dense_4_net_1
    model = build_model("mlcnn", (48, 48, 1), 7, batch_norm=False)
    assert model.count_params() == blocks + levels + dense((1280, 7))
    normed = build_model("mlcnn", (48, 48, 1), 7)
    filters = 2 * 64 + 3 * 128 + 4 * 256 + 4 * 256 + 4 * 512
    assert normed.count_params() - model.count_params() == 4 * filters


def test_baseline_has_the_parameters_of_the_book():
    assert build_model("baseline", (150, 150, 3), 1).count_params() == 3_453_121


def _width(model: keras.Model) -> int:
    """How many numbers reach the first dense layer."""
    return next(layer for layer in model.layers if isinstance(layer, keras.layers.Dense)).input.shape[1]


def _rates(model: keras.Model) -> list[float]:
    return [layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
