"""Every model: probabilities, a step of training, a file and back, and mistakes told before training."""

from itertools import product

import keras
import numpy as np
import pytest

from fer_tasks.models import BUILDERS, BadModel, build_model, check_model, load_model

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
NONE = {"weights": "none"}
MODELS = {
    "deep": ("alizadeh_fazel", {}, (16, 16, 1), (32, 48, 3)),
    "deep with HOG": ("alizadeh_fazel", {"hog": True, "norm_momentum": 0.8}, (32, 32, 3), (17, 30, 1)),
    "shallow": ("alizadeh_fazel", {"depth": "shallow"}, (16, 16, 1), (20, 24, 3)),
    "baseline": ("baseline", {}, (46, 46, 3), (64, 50, 1)),
    "khaireddin_chen": ("khaireddin_chen", {"width": 0.25}, (16, 16, 1), (20, 34, 3)),
    "mlcnn": ("mlcnn", {}, (32, 32, 1), (34, 40, 3)),
    "mlcnn of the paper": ("mlcnn", {"batch_norm": False}, (32, 32, 1), (33, 32, 1)),
    "resnet": ("resnet", {"filters": 8}, (16, 16, 1), (8, 21, 3)),
    "yu_zhang": ("yu_zhang", {}, (16, 16, 1), (17, 20, 3)),
    "yu_zhang of 2021": ("yu_zhang", {"pooling": "max"}, (16, 16, 3), (20, 17, 1)),
    "MobileNetV2": (
        "transfer",
        {**NONE, "alpha": 0.35, "trainable": True, "preprocessing": "as_2021"},
        (32, 32, 3),
        (40, 48, 1),
    ),
    "MobileNetV3Small": (
        "transfer",
        {**NONE, "backbone": "MobileNetV3Small", "head": "dnn", "dropout": [0.25, 0.5]},
        (32, 32, 3),
        (40, 32, 1),
    ),
}
SLOW = {  # `test_grids` builds the larger ones of their kinds
    "MobileNetV3Large": ("transfer", {**NONE, "backbone": "MobileNetV3Large"}, (32, 32, 1), (40, 32, 3)),
    "EfficientNetB0": ("transfer", {**NONE, "backbone": "EfficientNetB0"}, (32, 32, 3), (40, 32, 1)),
    "teacher": ("teacher", NONE, (80, 80, 3)),  # whose backbone is InceptionResNetV2
}


def build(which: str, size: int = 0) -> keras.Model:
    name, options, *shapes = {**MODELS, **SLOW}[which]
    return build_model(name, shapes[size], 7, **options)


@pytest.fixture(
    scope="module", params=[*MODELS, *(pytest.param(which, marks=pytest.mark.slow) for which in SLOW)]
)
def model(request) -> keras.Model:
    """Each model, built once for all that is asked of it: what trains it comes last."""
    keras.utils.set_random_seed(1)
    return build(request.param)


def pictures(model: keras.Model) -> np.ndarray:
    """Four pictures as the model wants them: 0..255 where a backbone rescales them, else 0..1."""
    largest = 255 if any(layer.name == "backbone" for layer in model.layers) else 1
    return RNG.uniform(0, largest, (4, *model.input_shape[1:])).astype(np.float32)


def test_every_model_is_tested_here():
    assert {name for name, *_ in [*MODELS.values(), *SLOW.values()]} == set(BUILDERS)


@pytest.mark.parametrize(("which", "size"), list(product(MODELS, (0, 1))))
def test_every_model_gives_probabilities(which, size):
    model = build(which, size)
    out = model(pictures(model)).numpy()
    assert out.shape == (4, 7) and out.dtype == np.float32
    assert np.allclose(out.sum(axis=1), 1, atol=1e-5)


def test_a_model_comes_back_from_its_file(model, tmp_path):
    for weight in model.weights:  # none is what a new model has
        if weight.name not in (
            "mean",
            "variance",
            "count",
        ):  # EfficientNet's first layer computes with copies
            weight.assign(weight + RNG.random(weight.shape, np.float32) / 50 - 0.01)
    model.save(tmp_path / "model.keras")
    x = pictures(model)
    out, again = (m(x, training=False).numpy() for m in (model, load_model(tmp_path / "model.keras")))
    assert np.isfinite(out).all() and np.array_equal(out, again)


def test_a_step_of_training_changes_what_is_trained(model):
    keras.utils.set_random_seed(1)
    model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)  # no graph for a single step
    before = model.get_weights()
    loss = model.train_on_batch(pictures(model), np.arange(4))
    trained = {id(weight) for weight in model.trainable_weights}
    changed = [not np.array_equal(old, new) for old, new in zip(before, model.get_weights(), strict=True)]
    assert np.isfinite(loss)
    assert any(changed[i] for i, weight in enumerate(model.weights) if id(weight) in trained)
    if "backbone" in (layer.name for layer in model.layers) and not model.get_layer("backbone").trainable:
        inside = {id(weight) for weight in model.get_layer("backbone").weights}
        assert not any(changed[i] for i, weight in enumerate(model.weights) if id(weight) in inside)


@pytest.mark.parametrize("which", ["deep with HOG", "mlcnn", "yu_zhang", "MobileNetV2"])
def test_in_mixed_precision_the_probabilities_are_float32(which):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = build(which)
    finally:
        keras.config.set_dtype_policy("float32")
    out = model(pictures(model), training=True).numpy()
    assert out.dtype == np.float32 and np.allclose(out.sum(axis=1), 1, atol=1e-5)
    assert {weight.dtype for weight in model.trainable_weights} == {"float32"}


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("smal_cnn", {}, r"no model 'smal_cnn'; choose one of \['alizadeh_fazel', 'baseline', "),
        ("alizadeh_fazel", {"droput": 1}, "its options: .*'conv_dropout'"),
        ("alizadeh_fazel", {"conv_dropout": 2}, "cannot be built with {'conv_dropout': 2} .*0 and 1"),
        ("alizadeh_fazel", {"conv_dropout": "much"}, "cannot be built with {'conv_dropout': 'much'}"),
        ("alizadeh_fazel", {"depth": "deeper"}, r"no depth 'deeper'; choose one of \['deep', 'shallow'\]"),
        ("alizadeh_fazel", {"padding": "some"}, "no padding 'some'; choose one of"),
        ("yu_zhang", {"pooling": "mean"}, r"no pooling 'mean'; choose one of \['max', 'stochastic'\]"),
        ("transfer", {"backbone": "ResNet1"}, "no backbone 'ResNet1'; choose one of .*'EfficientNetB6'"),
        ("transfer", {"head": "none"}, r"no head 'none'; choose one of \['dnn', 'plain'\]"),
        ("transfer", {"preprocessing": "rescale"}, "no preprocessing 'rescale'; choose one of"),
        ("transfer", {"dropout": [0.1, 0.2]}, "'plain' takes at most 1 dropout rates; there are 2"),
        ("transfer", {"dropout": []}, "there are 0"),
        ("transfer", {**NONE, "backbone": "EfficientNetB0", "alpha": 0.35}, "EfficientNetB0 has no alpha"),
        ("transfer", {"weights": "none.h5"}, "there is no file none.h5"),
    ],
)  # fmt: skip
def test_mistakes_say_what_there_is(name, options, said):
    with pytest.raises(BadModel, match=said):
        build_model(name, (48, 48, 3), 7, **options)


@pytest.mark.parametrize(
    ("name", "options", "shape", "said"),
    [
        ("alizadeh_fazel", {}, (15, 48, 1), r"at least 16 px; this recipe gives \(15, 48, 1\)"),
        ("alizadeh_fazel", {"padding": "valid"}, (49, 50, 1), "at least 50 px"),
        ("alizadeh_fazel", {"depth": "shallow", "padding": "valid"}, (5, 5, 1), "at least 6 px"),
        (
            "alizadeh_fazel",
            {"depth": "shallow", "hog": True},
            (15, 20, 1),
            "sides of at least 16 px, the size",
        ),
        ("baseline", {}, (46, 45, 3), "at least 46 px"),
        ("mlcnn", {}, (48, 31, 1), "at least 32 px"),
        ("yu_zhang", {}, (7, 48, 1), "at least 8 px"),
        ("transfer", {**NONE, "alpha": 0.35}, (20, 20, 3), "at least 32"),
        ("transfer", {**NONE, "backbone": "InceptionResNetV2"}, (64, 64, 3), "at least 75"),
        ("transfer", NONE, (48, 48, 2), "takes grey or RGB pictures"),
        ("teacher", NONE, (48, 48, 3), "at least 75"),
        ("yu_zhang", {}, (900,), "takes images"),
    ],
)
def test_shapes_that_a_model_cannot_take(name, options, shape, said):
    with pytest.raises(BadModel, match=said):
        build_model(name, shape, 7, **options)


@pytest.mark.parametrize(
    ("padding", "side", "depth"), [("valid", 50, "deep"), ("valid", 6, "shallow"), ("same", 16, "deep")]
)
def test_the_smallest_picture_is_taken(padding, side, depth):
    build_model("alizadeh_fazel", (side, side, 1), 7, padding=padding, depth=depth)


def test_a_model_is_checked_without_being_built():
    check_model("teacher", {"dropout": 0})
    with pytest.raises(BadModel, match="no model 'mlp'"):
        check_model("mlp", {})
