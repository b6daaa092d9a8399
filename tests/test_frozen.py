"""Frozen backbones computed once: the losses and weights of the plain way, from features that are shared.

Another processor, or another library of kernels, rounds a sum otherwise, and training makes that larger. So
features are compared to a stated rounding, and training, to the bit, on features that are equal: those of a
backbone whose sums float32 holds exactly.
"""

from collections.abc import Callable, Mapping
from functools import partial

import keras
import numpy as np
import pytest
from keras import layers

from fer_tasks.models import build_model
from fer_tasks.models.backbones import InInference
from fer_tasks.models.batch_norm import BatchNormalization
from fer_tasks.models.blocks import conv_norm_relu, probabilities
from fer_tasks.settings.training import FineTune, Plan
from fer_tasks.training import fit, frozen_backbone
from fer_tasks.training.backbone_runtime import compile_inference
from fer_tasks.training.feeding import PartedArray, Pictures, Rows
from fer_tasks.training.seeding import seeded
from fer_tasks.training.state import Checkpoint

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 3, 90)
FACES = RNG.integers(0, 120, (90, 16, 16, 3)) + 60 * LABELS[:, None, None, None]
FACES = FACES.clip(0, 255).astype(np.uint8)
TRAIN, VAL = np.arange(70)[::-1], np.arange(70, 90)
ARRAYS = fit.Arrays(Rows(FACES, TRAIN), LABELS[TRAIN], Rows(FACES, VAL), LABELS[VAL])
PLAN = Plan(optimizer="adam", learning_rate=0.01, epochs=3, batch_size=16)
SGD = PLAN.model_copy(update={"optimizer": "sgd"})
ROUNDING = 1e-4  # of features, against the largest; `compile_inference` allows a tenth of it
LIVELY = PLAN.model_copy(
    update={
        "augmentation": "strong",
        "label_smoothing": 0.1,
        "schedule": "one_cycle",
        "weight_decay": 0.01,
        "ema": 0.9,
    }
)


class Memory:
    """Shares features as a folder does, and counts what was made."""

    def __init__(self) -> None:
        self.parts: dict[str, np.ndarray] = {}
        self.rows = 0

    def __call__(
        self, name: str, sizes: Mapping[int, int], make: Callable[[int], np.ndarray]
    ) -> Callable[[int], np.ndarray]:
        for part, rows in sizes.items():
            if f"{name}/{part}" not in self.parts:
                self.parts[f"{name}/{part}"] = made = make(part)
                assert len(made) == rows
                self.rows += rows
        return lambda part: self.parts[f"{name}/{part}"]


def small(
    head: str = "plain", exact: bool = False, scale: float = 1 / 255, frozen: bool = True
) -> keras.Model:
    """A model in miniature of the kind of `transfer`, whose frozen backbone is fixed at 8 features.

    `exact`: the backbone's weights are small whole numbers and its divisors powers of two, so that its
    features are the same numbers in whatever order they are summed.
    """
    convolution = layers.Conv2D(8, 3, strides=2, padding="same")
    stack = [convolution, BatchNormalization(), layers.ReLU(), layers.Dropout(0.2)]
    body = keras.Sequential([keras.Input((16, 16, 3)), *(stack[::2] if exact else stack)], name="backbone")
    if exact:
        kernel, bias = convolution.weights
        kernel.assign(np.random.default_rng(1).integers(-2, 3, kernel.shape))
        bias.assign(np.arange(8))
    backbone = InInference(body, name="backbone") if frozen else body
    backbone.trainable = not frozen
    inputs = keras.Input((16, 16, 3))
    scaled = layers.Rescaling(1 / 256 if exact else scale)(inputs)
    x = layers.GlobalAveragePooling2D(name="features")(backbone(scaled))
    if head == "dnn":
        x = layers.Dense(16, activation="relu")(layers.Dropout(0.2)(x))
    if head == "maps":  # as the teacher's
        x = conv_norm_relu(backbone.output, 6, 3)
        x = layers.Dropout(0.3)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, probabilities(layers.Dropout(0.3)(x), 3))


def real(model: str, side: int, **options: object) -> keras.Model:
    """A model whose frozen backbone gives features that differ, as one with ImageNet's weights does: its
    batch norms have the statistics of some faces."""
    with seeded(5):  # some weights have channels of nearly no variance, which make any rounding larger
        built = build_model(model, (side, side, 3), 3, weights="none", **options)
    frozen = built.get_layer("backbone")
    norms = [layer for layer in frozen.layer.layers if isinstance(layer, BatchNormalization)]
    momentum = norms[0].momentum
    frozen.trainable = True
    for layer in norms:
        layer.momentum = 0.0
    frozen.layer(enlarged(16, side).astype(np.float32), training=True)
    for layer in norms:
        layer.momentum = momentum
    frozen.trainable = False
    return built


def enlarged(n: int, side: int) -> np.ndarray:
    """The first faces, (n, side, side, 3) uint8."""
    return FACES[:n].repeat(side // 16, axis=1).repeat(side // 16, axis=2)


def fitted(
    plan: Plan,
    share: frozen_backbone.FeatureStore | None,
    start: Checkpoint | None = None,
    build: Callable[..., keras.Model] = small,
    arrays: fit.Arrays = ARRAYS,
    **options: object,
) -> tuple[fit.Fitted, list[Checkpoint]]:
    keras.utils.clear_session(free_memory=False)  # layers are named as in a process of their own
    saved: list[Checkpoint] = []
    result = fit.fit(partial(build, **options), arrays, plan, 5, lambda row: None, start, saved.append, share)
    return result, saved


@pytest.mark.parametrize(
    ("plan", "options"),
    [
        (PLAN, {}),
        (PLAN.model_copy(update={"optimizer": "rmsprop"}), {"head": "dnn"}),
        (SGD, {"head": "maps"}),
        (
            PLAN.model_copy(
                update={"augmentation": "light", "fine_tune": FineTune(learning_rate=1e-4, epochs=2)}
            ),
            {},
        ),
        (LIVELY, {"head": "dnn"}),
    ],
    ids=["plain", "dnn", "maps", "augmented and fine-tuned", "dnn with all there is"],
)
def test_on_equal_features_losses_and_weights_are_those_of_the_plain_way_to_the_bit(plan, options):
    plain, shared = (fitted(plan, share, exact=True, **options)[0] for share in (None, Memory()))
    assert plain.history["loss"].nunique() == len(plain.history), "it learns"
    assert shared.history.equals(plain.history) and shared.best_epoch == plain.best_epoch
    weights = zip(shared.model.get_weights(), plain.model.get_weights(), strict=True)
    assert all(np.array_equal(a, b) for a, b in weights)


def test_in_bfloat16_losses_are_those_of_the_plain_way_to_its_rounding():
    half = SGD.model_copy(update={"precision": "mixed_bfloat16", "augmentation": "light"})
    plain, shared = (fitted(half, share)[0] for share in (None, Memory()))
    np.testing.assert_allclose(plain.history["loss"], shared.history["loss"], rtol=0.02)


@pytest.mark.parametrize(
    ("model", "side", "options"),
    [
        ("transfer", 32, {"backbone": "MobileNetV2", "alpha": 0.35}),
        ("transfer", 32, {"backbone": "MobileNetV3Small", "head": "dnn"}),
        ("transfer", 32, {"backbone": "EfficientNetB0"}),
        ("teacher", 80, {}),
    ],
    ids=["MobileNetV2", "MobileNetV3", "EfficientNet", "teacher"],
)
def test_the_models_of_the_grid_are_their_features_and_their_head(model, side, options):
    whole, x = real(model, side, **options), enlarged(9, side).astype(np.float32)
    extractor, head = frozen_backbone.split_backbone(whole)
    features, expected = compile_inference(extractor)(x), extractor(x, training=False).numpy()
    assert expected.std() > 0.01
    np.testing.assert_allclose(features, expected, atol=ROUNDING * np.abs(expected).max())
    np.testing.assert_allclose(head(features, training=False), whole(x, training=False), atol=1e-3)


def test_a_model_of_the_grid_learns_by_its_features_what_it_learns_the_plain_way():
    faces = enlarged(24, 32)
    arrays = fit.Arrays(faces[:16], LABELS[:16], faces[16:], LABELS[16:24])
    plan = SGD.model_copy(update={"learning_rate": 1e-3, "epochs": 2, "batch_size": 8})
    made = partial(real, "transfer", 32, backbone="MobileNetV2", alpha=0.35)
    plain, shared = (fitted(plan, share, build=made, arrays=arrays)[0] for share in (None, Memory()))
    np.testing.assert_allclose(plain.history["loss"], shared.history["loss"], rtol=0.02)


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_training_goes_on_from_every_checkpoint_to_the_same_weights_to_the_bit(precision):
    plan = LIVELY.model_copy(
        update={"epochs": 2, "fine_tune": FineTune(learning_rate=1e-4, epochs=2), "precision": precision}
    )
    whole, saved = fitted(plan, Memory())
    assert [len(checkpoint.rows) for checkpoint in saved] == [1, 2, 3, 4]
    assert len(saved[0].arrays) < len(saved[2].arrays), "the frozen backbone is not in it"
    for start in saved:
        again, _ = fitted(plan, Memory(), start)
        assert again.history.equals(whole.history)
        weights = zip(again.model.get_weights(), whole.model.get_weights(), strict=True)
        assert all(np.array_equal(a, b) for a, b in weights)


def test_what_is_left_of_a_training_that_failed_is_the_whole_model():
    _, saved = fitted(PLAN, Memory())
    model = fit.last_epoch(small, PLAN, saved[1], shared=True)
    accuracy = (fit.predict(model, FACES[VAL]).argmax(axis=1) == LABELS[VAL]).mean()
    assert accuracy == pytest.approx(saved[1].rows[-1]["val_accuracy"])


def test_cells_share_what_is_the_same_and_nothing_else():
    memory = Memory()

    def made_by(plan: Plan, **options: object) -> int:
        """How many features a cell makes before it trains."""
        keras.utils.clear_session(free_memory=False)
        with seeded(5):
            model = fit.build_in_precision(partial(small, **options), plan.precision)
        one_hot = np.eye(3)
        train, val = (
            Pictures(x, one_hot[y].astype(np.float32), plan.batch_size) for x, y in (ARRAYS[:2], ARRAYS[2:4])
        )
        before = memory.rows
        extractor = frozen_backbone.split_backbone(model).extractor
        frozen_backbone.batches(extractor, train, val, plan, 5, 0, memory)
        return memory.rows - before

    fitted(PLAN, memory)
    assert memory.rows == 90 and made_by(PLAN) == 0
    assert (
        made_by(PLAN.model_copy(update={"optimizer": "sgd", "batch_size": 8, "epochs": 1}), head="dnn") == 0
    )
    assert made_by(PLAN, scale=1 / 127) == 90
    half = PLAN.model_copy(update={"precision": "mixed_bfloat16"})
    assert made_by(half) == 90 and made_by(half, head="dnn") == 0
    light = PLAN.model_copy(update={"augmentation": "light"})
    assert made_by(light) == 3 * 70
    assert made_by(light.model_copy(update={"learning_rate": 0.1, "epochs": 4})) == 70, (
        "the fourth view is new"
    )
    assert made_by(light.model_copy(update={"batch_size": 8, "epochs": 1})) == 70, (
        "another batch is augmented otherwise"
    )


def test_fewer_views_are_taken_in_turn():
    memory = Memory()
    result, _ = fitted(PLAN.model_copy(update={"augmentation": "light", "epochs": 5, "views": 2}), memory)
    assert memory.rows == 20 + 2 * 70 and len(result.history) == 5
    first, _ = fitted(PLAN.model_copy(update={"augmentation": "light", "epochs": 2}), Memory())
    assert result.history[:2].equals(first.history), "until then it is one view an epoch"


def test_what_trains_whole_is_not_split():
    assert frozen_backbone.split_backbone(small(frozen=False)) is None
    assert frozen_backbone.split_backbone(build_model("baseline", (48, 48, 3), 3)) is None
    plain, shared = (
        fitted(PLAN.model_copy(update={"epochs": 1}), share, frozen=False)[0] for share in (None, Memory())
    )
    assert plain.history.equals(shared.history)


def test_the_fastest_way_gives_what_tensorflow_gives_for_any_number_of_pictures():
    extractor = frozen_backbone.split_backbone(small()).extractor
    compute = compile_inference(extractor)
    x = FACES[:19].astype(np.float32)
    wanted = extractor(x, training=False).numpy()
    assert wanted.std() > 0.01
    for n in (1, 8, 19):
        np.testing.assert_allclose(compute(x[:n]), wanted[:n], atol=ROUNDING * np.abs(wanted).max())


def test_in_bfloat16_the_fastest_way_is_about_as_near_to_float32_as_tensorflow():
    exact = frozen_backbone.split_backbone(small()).extractor
    half = frozen_backbone.split_backbone(fit.build_in_precision(small, "mixed_bfloat16")).extractor
    half.set_weights(exact.get_weights())
    x = FACES[:19].astype(np.float32)
    wanted = exact(x, training=False).numpy()
    by_tensorflow, found = np.asarray(half(x, training=False), np.float32), compile_inference(half)(x)
    assert np.linalg.norm(found - wanted) <= 3 * np.linalg.norm(by_tensorflow - wanted)


def test_parts_are_read_as_one_array():
    whole = np.zeros(10, [("x", np.float32, (3,)), ("y", np.int64)])
    whole["x"], whole["y"] = RNG.normal(size=(10, 3)), np.arange(10)
    x, y = (PartedArray(lambda i: whole[4 * i : 4 * i + 4], 4, 10, field) for field in ("x", "y"))
    chosen = np.array([9, 0, 4, 3, 3, 8])
    assert (x.shape, x.dtype, len(x)) == ((10, 3), np.float32, 10)
    assert np.array_equal(x[chosen], whole["x"][chosen]) and np.array_equal(y[chosen], chosen)
