"""Our layers beside what they must equal: Keras' batch norm, scikit-image's HOG, pooling written in NumPy."""

from collections.abc import Iterator

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from skimage import data
from skimage.feature import hog

from fer_tasks.models.batch_norm import BatchNormalization
from fer_tasks.models.hog import HOG
from fer_tasks.models.stochastic_pooling import StochasticPooling2D
from fer_tasks.recipes import make_transform

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
FACE = data.astronaut()[:150, 140:290]


# Batch norm


def norms(shape: tuple[int, ...], dtype: str = "float32", **options: object) -> list[keras.Layer]:
    """Keras' layer and ours, with the same weights, none of them what a new layer has."""
    pair = [kind(dtype=dtype, **options) for kind in (layers.BatchNormalization, BatchNormalization)]
    for layer in pair:
        layer.build(shape)
    values = [RNG.uniform(0.5, 2, weight.shape) for weight in pair[0].weights]
    for layer in pair:
        layer.set_weights(values)
    return pair


def step(layer: keras.Layer, x: np.ndarray, training: bool) -> list[np.ndarray]:
    """The outputs; the gradients of a loss by the inputs and the weights; the weights afterwards."""
    inputs, pull = tf.constant(x), tf.constant(np.sin(np.arange(x.size)).reshape(x.shape), tf.float32)

    @tf.function
    def run() -> tuple[tf.Tensor, list[tf.Tensor]]:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs, training=training)
            loss = tf.reduce_sum(tf.cast(outputs, tf.float32) * pull)
        return outputs, tape.gradient(loss, [inputs, *(w.value for w in layer.trainable_weights)])

    outputs, gradients = run()
    return [np.asarray(tf.cast(each, tf.float32)) for each in (outputs, *gradients)] + layer.get_weights()


def assert_same(ours: list[np.ndarray], theirs: list[np.ndarray], tolerance: float) -> None:
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((8, 6, 5, 3), {}),
        ((2, 1, 1, 4), {"momentum": 0.5, "epsilon": 1e-2}),  # of two values Bessel's correction doubles it
        ((3, 2, 4, 2), {"scale": False}),
        ((3, 2, 4, 2), {"center": False, "scale": False}),
        ((4, 3, 3, 2), {"axis": 1}),
        ((16, 5), {"momentum": 0.9}),
    ],
)  # fmt: skip
def test_fused_batch_norm_is_batch_norm(shape, options, training):
    theirs, ours = norms(shape, **options)
    x = RNG.normal(3, 2, shape).astype(np.float32)
    assert_same(step(ours, x, training), step(theirs, x, training), 2e-5)


@pytest.mark.parametrize("training", [True, False])
def test_fused_batch_norm_in_bfloat16(training):
    theirs, ours = norms((8, 6, 5, 3), "mixed_bfloat16")
    x = np.asarray(tf.cast(RNG.normal(3, 2, (8, 6, 5, 3)), tf.bfloat16))
    found = step(ours, x, training)
    assert ours(x).dtype == "bfloat16" and all(weight.dtype == "float32" for weight in ours.weights)
    assert_same(found, step(theirs, x, training), 0.05)
    assert_same(found[-4:], theirs.get_weights(), 1e-5)  # the statistics are summed in float32


def test_frozen_batch_norm_keeps_its_statistics():
    theirs, ours = norms((4, 3, 3, 2))
    theirs.trainable = ours.trainable = False
    x = RNG.normal(3, 2, (4, 3, 3, 2)).astype(np.float32)
    before = ours.get_weights()
    assert_same([ours(x, training=True).numpy()], [theirs(x, training=True).numpy()], 2e-5)
    assert_same(ours.get_weights(), before, 0)


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_of_images_runs_the_fused_kernel(training):
    layer = BatchNormalization()
    layer.build((2, 4, 4, 3))
    graph = tf.function(lambda x: layer(x, training=training)).get_concrete_function(tf.zeros((2, 4, 4, 3)))
    assert [op.type for op in graph.graph.get_operations()].count("FusedBatchNormV3") == 1


def test_batch_norm_takes_the_weights_of_keras_from_a_file(tmp_path):
    theirs, ours = (
        keras.Sequential([keras.Input((4, 4, 3)), layers.Conv2D(2, 3), kind(name="norm")])
        for kind in (layers.BatchNormalization, BatchNormalization)
    )
    theirs.get_layer("norm").set_weights(RNG.uniform(0.5, 2, (4, 2)))
    theirs.save_weights(tmp_path / "a.weights.h5")
    ours.load_weights(tmp_path / "a.weights.h5")
    x = RNG.random((5, 4, 4, 3), np.float32)
    assert_same([ours(x).numpy()], [theirs(x).numpy()], 1e-5)


# Stochastic pooling


def windows(x: np.ndarray, size: int, step: int) -> Iterator[tuple[tuple[int, int], tuple[slice, slice]]]:
    """Of an image (M, N): each place of the pooled one, and the window that it comes from."""
    starts = []
    for side in x.shape:
        out = -(-side // step)
        before = max((out - 1) * step + size - side, 0) // 2
        starts.append([i * step - before for i in range(out)])
    for row, r in enumerate(starts[0]):
        for column, c in enumerate(starts[1]):
            yield (row, column), (slice(max(r, 0), r + size), slice(max(c, 0), c + size))


def activations(shape: tuple[int, ...]) -> np.ndarray:
    return np.maximum(RNG.normal(0.3, 1, shape), 0).astype(np.float32)


@pytest.mark.parametrize(
    ("shape", "size", "step"), [((6, 7), 3, 2), ((48, 48), 3, 2), ((5, 9), 2, 2), ((9, 4), 4, 3)]
)
def test_inference_is_the_mean_weighted_by_the_probabilities(shape, size, step):
    x = activations(shape)
    x[:4, :4] = 0  # a window without any activation
    found = StochasticPooling2D(size, step)(x[None, :, :, None]).numpy()[0, :, :, 0]
    for place, window in windows(x, size, step):
        a = x[window].astype(float)
        expected = (a / a.sum() * a).sum() if a.any() else 0
        assert found[place] == pytest.approx(expected, abs=1e-6)


def test_training_draws_in_proportion_to_the_activations():
    x = activations((6, 7)) + 0.01 * np.arange(42, dtype=np.float32).reshape(6, 7)  # no two alike
    x[0, 0] = x[2, 3] = 0
    n = 20_000
    copies = np.broadcast_to(x[None, :, :, None], (n, 6, 7, 1))
    drawn = StochasticPooling2D(seed=1)(copies, training=True).numpy()[..., 0]
    expected = StochasticPooling2D()(copies[:1]).numpy()[0, ..., 0]
    for place, window in windows(x, 3, 2):
        a = x[window].ravel()
        values, counts = np.unique(drawn[(slice(None), *place)], return_counts=True)
        assert set(values) <= set(a) - {np.float32(0)}
        for value, probability in zip(a, a / a.sum(), strict=True):
            seen = counts[values == value].sum() / n
            assert abs(seen - probability) < 5 * np.sqrt(probability * (1 - probability) / n) + 1e-9
        spread = np.sqrt((a / a.sum() * a**2).sum() - expected[place] ** 2)
        assert abs(drawn[(slice(None), *place)].mean() - expected[place]) < 5 * spread / np.sqrt(n)


def gradient(layer: keras.Layer, x: np.ndarray, training: bool) -> tuple[np.ndarray, np.ndarray]:
    """The outcome, and the gradient of its sum by x, both (M, N)."""
    inputs = tf.constant(x[None, :, :, None])
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        pooled = layer(inputs, training=training)
        loss = tf.reduce_sum(pooled)
    return pooled.numpy()[0, :, :, 0], tape.gradient(loss, inputs).numpy()[0, :, :, 0]


def test_the_gradient_goes_to_what_was_drawn():
    x = activations((7, 6)) + 0.01 * np.arange(42, dtype=np.float32).reshape(7, 6)  # no two alike
    drawn, found = gradient(StochasticPooling2D(seed=3), x, training=True)
    expected = np.zeros_like(x)
    for value in drawn.ravel():
        expected[x == value] += 1
    assert found.tolist() == expected.tolist()


def test_the_gradient_of_inference():
    x = activations((7, 6)) + 0.1
    pooled, found = gradient(StochasticPooling2D(), x, training=False)
    expected = np.zeros(x.shape)
    for place, window in windows(x, 3, 2):
        expected[window] += (2 * x[window] - pooled[place]) / x[window].sum()
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_where_nothing_is_active_there_is_nothing(training):
    for dark in (np.zeros((6, 6), np.float32), np.full((6, 6), -1, np.float32)):
        pooled, found = gradient(StochasticPooling2D(), dark, training)
        assert not pooled.any() and not found.any()


def test_a_seed_draws_the_same():
    x = activations((1, 12, 12, 4))
    one, two, other = (StochasticPooling2D(seed=seed) for seed in (5, 5, 6))
    first, again = (one(x, training=True).numpy() for _ in range(2))
    assert np.array_equal(first, two(x, training=True).numpy())
    assert not np.array_equal(first, again) and not np.array_equal(first, other(x, training=True).numpy())


def test_in_bfloat16_each_value_is_one_of_the_window():
    x = np.asarray(tf.cast(activations((1, 6, 6, 8)), tf.bfloat16))
    layer = StochasticPooling2D(dtype="mixed_bfloat16")
    drawn, mean = layer(x, training=True), layer(x)
    assert drawn.dtype == mean.dtype == "bfloat16"
    assert set(np.float32(drawn).ravel()) <= set(np.float32(x).ravel())
    exact = StochasticPooling2D()(np.float32(x)).numpy()
    np.testing.assert_allclose(np.float32(mean), exact, rtol=0.01)


def test_pooling_keeps_its_options_in_a_file(tmp_path):
    layer = StochasticPooling2D(4, 3, seed=9)
    keras.Sequential([keras.Input((9, 8, 2)), layer]).save(tmp_path / "a.keras")
    again = keras.saving.load_model(tmp_path / "a.keras").layers[0]
    assert (again.pool_size, again.strides, again.seed) == (4, 3, 9)
    assert again.output.shape == (None, 3, 3, 2)


# HOG


def of_skimage(image: np.ndarray, orientations: int = 9, pixels: int = 8, cells: int = 2) -> np.ndarray:
    return hog(image, orientations, (pixels, pixels), (cells, cells), channel_axis=2)


def face(side: int, colour: bool) -> np.ndarray:
    """(side, side, C) float32, whole numbers 0..255: no rounding decides between two orientations."""
    steps = [{"op": "resize", "size": side}] if colour else [{"op": "gray"}, {"op": "resize", "size": side}]
    return make_transform(steps)(FACE).astype(np.float32)


@pytest.mark.parametrize("side", [48, 150])
@pytest.mark.parametrize("options", [(), (8, 7, 3)])
@pytest.mark.parametrize("colour", [False, True])
def test_hog_is_scikit_image_s(side, options, colour):
    image, layer = face(side, colour), HOG(*options)
    expected = of_skimage(image, *options)
    found = layer(np.stack([image, image[::-1]])).numpy()
    assert found.shape == (2, len(expected)) == layer.compute_output_shape((2, *image.shape))
    np.testing.assert_allclose(found[0], expected, atol=1e-3)
    assert not np.allclose(found[1], expected, atol=0.1)


@pytest.mark.parametrize("colour", [False, True])
def test_hog_of_a_rescaled_picture(colour):
    image = face(150, colour) / 255
    differing = np.abs(HOG()(image[None]).numpy()[0] - of_skimage(image)) > 1e-3
    assert differing.mean() < 0.005  # a pixel on the border of two orientations moves a block's numbers


def test_hog_of_an_even_picture_is_zero():
    assert not HOG()(np.full((1, 16, 16, 3), 0.5, np.float32)).numpy().any()


def test_hog_hardly_minds_the_scale():
    image = face(150, colour=False)[None] / 255
    np.testing.assert_allclose(HOG()(image).numpy(), HOG()(256 * image).numpy(), atol=1e-3)


def test_hog_keeps_its_options_in_a_file(tmp_path):
    keras.Sequential([keras.Input((24, 24, 1)), HOG(6, 4, 3)]).save(tmp_path / "a.keras")
    again = keras.saving.load_model(tmp_path / "a.keras").layers[0]
    assert (again.orientations, again.pixels_per_cell, again.cells_per_block) == (6, 4, 3)


def test_hog_wants_room_for_a_block():
    with pytest.raises(ValueError, match="at least 16 px"):
        HOG()(keras.Input((48, 15, 1)))
