"""Train and test on FER2013 as for published figures, on a GPU: by Keras' JAX backend, on all of Training.

Eight residual networks learn from the labels. A student with twice their filters learns from the mean of
their predictions for the very views that it is shown (Beyer et al., "Knowledge distillation: A good teacher
is patient and consistent", 2022). A quarter of the test pictures are in the training split too, or nearly
so: accuracies are given for all test pictures, and for those without a copy among the training pictures.

pip install "jax[cuda13]"
python -m benchmarks.fer2013_gpu SOURCE            # trains on Training, tests on PublicTest: for choices
python -m benchmarks.fer2013_gpu SOURCE --final    # trains on both, tests on PrivateTest
"""

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

os.environ["KERAS_BACKEND"] = "jax"

import jax
import jax.numpy as jnp
import keras
import numpy as np
from tqdm import tqdm

from benchmarks.fer2013 import pictures_of
from benchmarks.lib.copies import nearest
from benchmarks.lib.faces import CutFace
from benchmarks.lib.jax_views import augment, views_of, warp
from fer_tasks.evaluation.scores import accuracy_interval
from fer_tasks.labels import EXPRESSIONS
from fer_tasks.models import build_model
from fer_tasks.settings import load_settings
from fer_tasks.settings.training import Plan
from fer_tasks.storage.files import write_bytes
from fer_tasks.storage.images import perceptual_hash
from fer_tasks.training.augmentation import SETS
from fer_tasks.training.fit import model_bytes
from fer_tasks.training.optimization import compile_model

SIDE, CLASSES, AT_ONCE = 48, len(EXPRESSIONS), 1200
TEACHERS, TEACHER, STUDENT = 8, {"filters": 32, "epochs": 50}, {"filters": 64, "epochs": 154}
BATCH, RATE, DECAY, SMOOTHING, MIXUP, EMA, SOFT = 256, 0.007, 0.1, 0.1, 0.2, 0.998, 0.9

Values = list[jax.Array]


class Weights(NamedTuple):
    trained: Values
    others: Values  # statistics of the batch norms, seeds of dropout


class State(NamedTuple):
    weights: Weights
    optimizer: Values
    average: Weights  # moving averages of the weights, and of the statistics


class Step(NamedTuple):
    """The inputs of a training step; for an epoch, each field has a first axis of steps."""

    rows: Any  # (BATCH,) int, of the pictures
    share: Any  # of mixup
    momentum: Any  # of the moving averages
    key: Any  # of JAX's random numbers


class Learner(NamedTuple):
    model: keras.Model
    start: Callable[[int], State]
    epoch: Callable[..., tuple[State, jax.Array]]


def learner(filters: int, steps: int, teacher: keras.Model | None = None) -> Learner:
    """A network to train for `steps` steps, and its compiled epoch.

    The epoch maps (state, teachers' weights, pictures, labels, steps) to the next state and the losses.
    """
    build = partial(build_model, "resnet", (SIDE, SIDE, 1), CLASSES, filters=filters)
    model = build()
    plan = Plan(
        optimizer="muon",
        learning_rate=RATE,
        epochs=1,
        batch_size=BATCH,
        schedule="one_cycle",
        weight_decay=DECAY,
    )
    compile_model(model, plan, RATE, steps)
    optimizer = model.optimizer
    optimizer.build(model.trainable_variables)

    def loss(trained: Values, others: Values, x: jax.Array, y: jax.Array) -> tuple[jax.Array, Values]:
        probabilities, others = model.stateless_call(trained, others, x, training=True)
        return keras.losses.categorical_crossentropy(y, probabilities).mean(), others

    def step(teachers: Weights, x: jax.Array, y: jax.Array, state: State, now: Step) -> tuple[State, Any]:
        views, mixing = jax.random.split(now.key)
        inputs = augment(views, x[now.rows].astype(jnp.float32) / 255, SETS["strong"])
        target = y[now.rows] * (1 - SMOOTHING) + SMOOTHING / CLASSES
        other = jax.random.permutation(mixing, BATCH)
        inputs, target = (now.share * a + (1 - now.share) * a[other] for a in (inputs, target))
        inputs = inputs[..., None]
        if teacher is not None:
            target = SOFT * _mean_prediction(teacher, teachers, inputs) + (1 - SOFT) * target
        (value, others), gradients = jax.value_and_grad(loss, has_aux=True)(*state.weights, inputs, target)
        trained, memory = optimizer.stateless_apply(state.optimizer, gradients, state.weights.trained)
        weights = Weights(trained, others)
        average = jax.tree.map(partial(_average, now.momentum), state.average, weights)
        return State(weights, memory, average), value

    @jax.jit
    def epoch(state: State, teachers: Any, x: jax.Array, y: jax.Array, steps: Step) -> tuple[State, Any]:
        return jax.lax.scan(partial(step, teachers, x, y), state, steps)

    def start(seed: int) -> State:
        keras.utils.set_random_seed(seed)
        fresh = build()
        first = (_copies(fresh.trainable_variables), _copies(fresh.non_trainable_variables))
        return State(Weights(*first), _copies(optimizer.variables), Weights(*first))

    return Learner(model, start, epoch)


def _copies(variables: list[keras.Variable]) -> Values:
    return [jnp.array(variable.value) for variable in variables]


def _average(momentum: jax.Array, old: jax.Array, new: jax.Array) -> jax.Array:
    if not jnp.issubdtype(new.dtype, jnp.floating):
        return new
    return (momentum * old + (1 - momentum) * new).astype(new.dtype)


def _mean_prediction(model: keras.Model, stacked: Weights, x: jax.Array) -> jax.Array:
    def answer(_: None, weights: Weights) -> tuple[None, jax.Array]:
        return None, model.stateless_call(*weights, x, training=False)[0]

    return jax.lax.stop_gradient(jax.lax.scan(answer, None, stacked)[1].mean(0))


def epochs_of(n: int, epochs: int, seed: int) -> Iterator[Step]:
    """Yield the steps of each epoch; pictures that do not fill a batch are left out."""
    rng, steps = np.random.default_rng(seed), n // BATCH
    t = np.arange(epochs * steps)
    momentum = np.minimum(EMA, (1 + t) / (10 + t))
    share = rng.beta(MIXUP, MIXUP, len(t))
    for e in range(epochs):
        rows = rng.permutation(n)[: steps * BATCH].reshape(steps, BATCH)
        now = slice(e * steps, (e + 1) * steps)
        keys = jax.random.split(jax.random.PRNGKey(seed * 1000 + e), steps)
        yield Step(jnp.asarray(rows), *(jnp.asarray(a[now], jnp.float32) for a in (share, momentum)), keys)


def train(network: Learner, teachers: Any, x: jax.Array, y: jax.Array, epochs: int, seed: int) -> Weights:
    """Train a network; return the averaged weights at the end."""
    state, bar = network.start(seed), tqdm(epochs_of(len(x), epochs, seed), f"seed {seed}", epochs)
    for steps in bar:
        state, losses = network.epoch(state, teachers, x, y, steps)
        bar.set_postfix(loss=f"{losses.mean():.4f}")
    return state.average


def predictor(model: keras.Model) -> Callable[..., np.ndarray]:
    """Return a function from (weights, pictures, views) to the mean probabilities over the views."""

    @jax.jit
    def predict_view(weights: Weights, x: jax.Array, view: jax.Array) -> jax.Array:
        inputs = warp(x.astype(jnp.float32) / 255, jnp.broadcast_to(view, (len(x), 2, 3)))
        return model.stateless_call(*weights, inputs[..., None], training=False)[0]

    def predict(weights: Weights, x: jax.Array, views: jax.Array) -> np.ndarray:
        blocks = [x[i : i + AT_ONCE] for i in range(0, len(x), AT_ONCE)]
        predictions = [jnp.concatenate([predict_view(weights, block, v) for block in blocks]) for v in views]
        return np.mean(predictions, axis=0)

    return predict


def save(model: keras.Model, weights: Weights, file: Path) -> None:
    for variables, values in zip(
        (model.trainable_variables, model.non_trainable_variables), weights, strict=True
    ):
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
    write_bytes(file, model_bytes(model))


def copied(images: np.ndarray, training: np.ndarray) -> np.ndarray:
    """Which pictures are near-copies of a training picture, by the rules of `clean`: (n,) bool.

    `images`: (n, 48, 48, 3) uint8. `training`: (n,) bool, which are training pictures.
    """
    faces = [CutFace("", Path(), perceptual_hash(image), image, np.empty(0), {}) for image in images]
    rules = load_settings().clean.rules
    groups = nearest(faces, rules.min_copy_bits - 1, rules.max_copy_correlation)["group_id"]
    return groups.isin(groups[training]).to_numpy() & ~training


class Data(NamedTuple):
    """Pictures to train and to test on."""

    x: jax.Array  # (n, 48, 48) uint8
    y: jax.Array  # (n, 7), one-hot
    x_test: jax.Array
    y_test: np.ndarray  # (m,) int
    new: np.ndarray  # (m,) bool, test pictures without a copy among the training pictures


def read_data(source: Path, final: bool) -> Data:
    """Read Training to train on and PublicTest to test on; with `final`, both to train on and PrivateTest."""
    with tempfile.TemporaryDirectory() as cache:
        images, labels, splits = pictures_of(source, Path(cache))
    train = np.isin(splits, ["train", "val"] if final else ["train"])
    test = splits == ("test" if final else "val")
    new = ~copied(images, train)[test]
    grey = jnp.asarray(images[..., 0])
    return Data(grey[train], jnp.eye(CLASSES)[labels[train]], grey[test], labels[test], new)


def accuracies(name: str, probabilities: np.ndarray, data: Data) -> dict[str, float]:
    """Accuracy on all test pictures and on those without a copy; both are printed with their intervals."""
    correct = probabilities.argmax(1) == data.y_test
    for which, some in (("all", correct), ("without a copy", correct[data.new])):
        low, high = accuracy_interval(some)
        print(f"{name}, {which}: {some.mean():.4f} (95 % interval {low:.4f} to {high:.4f})")
    return {name: round(correct.mean(), 4), f"{name}_without_a_copy": round(correct[data.new].mean(), 4)}


def bench(data: Data, out: Path) -> dict[str, float]:
    """Train the teachers and the student and save the student; return the accuracies."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    views = views_of("perturbations", SIDE)
    batches = len(data.x) // BATCH
    teacher = learner(TEACHER["filters"], batches * TEACHER["epochs"])
    predict = predictor(teacher.model)
    seeds = range(1, TEACHERS + 1)
    teachers = [train(teacher, None, data.x, data.y, TEACHER["epochs"], seed) for seed in seeds]
    predictions = [predict(weights, data.x_test, views) for weights in teachers]
    each = [accuracies("teacher", probabilities, data) for probabilities in predictions]
    mean = {name: round(float(np.mean([one[name] for one in each])), 4) for name in each[0]}
    together = accuracies("teachers", np.mean(predictions, axis=0), data)
    student = learner(STUDENT["filters"], batches * STUDENT["epochs"], teacher.model)
    stacked = jax.tree.map(lambda *weights: jnp.stack(weights), *teachers)
    weights = train(student, stacked, data.x, data.y, STUDENT["epochs"], seed=77)
    predict = predictor(student.model)
    plain = accuracies("student_plain", predict(weights, data.x_test, views[:1]), data)
    with_views = accuracies("student", predict(weights, data.x_test, views), data)
    save(student.model, weights, out)
    ratio = round(with_views["student"] / mean["teacher"], 4)
    return {**mean, **together, **plain, **with_views, "ratio": ratio}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fer2013_gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", type=Path, help="the folder with fer2013.csv, or with train/ and test/")
    parser.add_argument("--final", action="store_true", help="train on PublicTest too, test on PrivateTest")
    parser.add_argument("--out", type=Path, default=Path("fer2013_gpu.keras"), help="the student's file")
    arguments = parser.parse_args()
    data = read_data(arguments.source, arguments.final)
    n_train, n_test, n_new = len(data.x), len(data.x_test), data.new.sum()
    print(f"{n_train} training pictures, {n_test} test pictures, {n_new} of them without a copy")
    print(json.dumps({"test_pictures": n_test, **bench(data, arguments.out)}))


if __name__ == "__main__":
    main()
