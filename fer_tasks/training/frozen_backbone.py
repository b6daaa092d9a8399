"""A frozen backbone computed once: its features stand for the pictures, and the head is trained on them.

The head of a model is made of that model's own layers, so their weights are the model's, and its seeds are
drawn from as if the whole model were trained: losses and weights are those of the plain way, up to the
rounding of `backbone_runtime.compile_inference`.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from fer_tasks.training.augmentation import SETS
from fer_tasks.training.backbone_runtime import Function, compile_inference
from fer_tasks.training.feeding import (
    Batch,
    PartedArray,
    Pictures,
    Rows,
    endless,
    shuffled,
    stored_batch,
    training_batch,
    training_batches,
    validation_batches,
)
from fer_tasks.training.plan import Plan

BACKBONE = "backbone"  # the layer that a model has whose backbone is, or was at first, frozen
FIXED = ("features", BACKBONE)  # a model's features are the output of the first of these that it has
STEPS = 32  # batches a part: half a minute of the slowest backbone's
BATCH = 32  # of pictures that are not augmented

# Gives the parts, of so many rows each, of what is called so; makes those that nobody has made yet.
FeatureStore = Callable[[str, Mapping[int, int], Callable[[int], np.ndarray]], Callable[[int], np.ndarray]]
Epoch = Callable[[int], tf.data.Dataset]  # batches without an end, from an epoch on


class SplitModel(NamedTuple):
    """A model in two, of its own layers."""

    extractor: keras.Model  # pictures (n, M, N, C), 0..255, to features: preprocessing and frozen backbone
    head: keras.Model  # features to probabilities


def split_backbone(model: keras.Model) -> SplitModel | None:
    """Cut a model behind its frozen backbone, or behind the pooling after it; None where it has none."""
    names = {layer.name for layer in model.layers}
    if BACKBONE not in names or model.get_layer(BACKBONE).trainable:
        return None
    cut = model.get_layer(next(name for name in FIXED if name in names)).output
    return SplitModel(
        keras.Model(model.input, cut, name="fixed"), keras.Model(cut, model.output, name=model.name)
    )


def batches(
    extractor: keras.Model,
    train: Pictures,
    val: Pictures,
    plan: Plan,
    seed: int,
    done: int,
    share: FeatureStore,
) -> tuple[Epoch, tf.data.Dataset]:
    """Features in place of pictures: batches of training from an epoch of the first phase on, `done` or a
    later one, and of validation.

    Augmented pictures are computed once for each of the plan's views: view v is what epoch v sees the plain
    way. Epochs beyond the last view take the views in turn, in an order of their own.
    """
    features, name = cache(lambda: compile_inference(extractor)), _digest(extractor)
    known = _plain(val, features, name, share)
    if not any(SETS[plan.augmentation]):
        learnt = partial(training_batches, _plain(train, features, name, share), SETS["none"], seed)
    else:
        learnt = _augmented(train, features, name, plan, seed, done, share)
    return learnt, validation_batches(known)


def _plain(pictures: Pictures, features: Callable[[], Function], name: str, share: FeatureStore) -> Pictures:
    """The features of pictures as they are."""
    same = pictures._replace(batch_size=BATCH)
    parts = _parts(same, stored_batch(same), [0], features, f"{name} {_content(pictures)}", share)
    return parts[0]._replace(batch_size=pictures.batch_size)


def _augmented(
    pictures: Pictures,
    features: Callable[[], Function],
    name: str,
    plan: Plan,
    seed: int,
    done: int,
    share: FeatureStore,
) -> Epoch:
    n = plan.views or plan.epochs
    called = f"{name} {_content(pictures)} {plan.augmentation} {seed} {pictures.batch_size}"
    changed = training_batch(pictures, SETS[plan.augmentation], seed)
    wanted = sorted({epoch % n for epoch in range(done, plan.epochs)})
    views = _parts(pictures, changed, wanted, features, called, share)

    def batch(number: int) -> Batch:
        epoch, step = divmod(number, pictures.steps)
        rows = slice(step * pictures.batch_size, (step + 1) * pictures.batch_size)
        order = np.arange(len(pictures.x)) if epoch < n else shuffled(len(pictures.x), seed, epoch)
        view = views[epoch % n]
        return view.x[order[rows]], view.y[order[rows]]

    return partial(endless, batch, views[wanted[0]])


def _parts(
    pictures: Pictures,
    batch: Callable[[int], Batch],
    views: Iterable[int],
    features: Callable[[], Function],
    called: str,
    share: FeatureStore,
) -> dict[int, Pictures]:
    """The features of each view, in the order of its batches: batch `view * steps + i` is the view's i-th."""
    n, size = len(pictures.x), STEPS * pictures.batch_size
    each = -(-n // size)  # parts a view
    sizes = {view * each + i: min(size, n - i * size) for view in views for i in range(each)}

    def make(part: int) -> np.ndarray:
        view, i = divmod(part, each)
        numbers = range(i * STEPS, min((i + 1) * STEPS, pictures.steps))
        made = [_packed(features(), *batch(view * pictures.steps + number)) for number in numbers]
        return np.concatenate(made)

    part = share(hashlib.sha256(called.encode()).hexdigest()[:16], sizes, make)

    def view_of(view: int) -> Pictures:
        x, y = (PartedArray(lambda i: part(view * each + i), size, n, field) for field in ("x", "y"))
        return Pictures(x, y, pictures.batch_size)

    return {view: view_of(view) for view in views}


def _packed(features: Function, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Features and labels of a batch as one structured array, (n,) with the fields x and y."""
    found = features(x.astype(np.float32))
    rows = np.empty(len(x), [("x", found.dtype, found.shape[1:]), ("y", y.dtype, y.shape[1:])])
    rows["x"], rows["y"] = found, y
    return rows


def _digest(extractor: keras.Model) -> str:
    """Says what an extractor computes: its layers and its weights."""
    digest = hashlib.sha256(extractor.to_json().encode())
    for weight in extractor.get_weights():
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()


def _content(pictures: Pictures) -> str:
    """Says which pictures, of a dataset that is known to whoever shares, and their labels."""
    rows = pictures.x.rows if isinstance(pictures.x, Rows) else pictures.x
    return hashlib.sha256(np.ascontiguousarray(rows).tobytes() + pictures.y.tobytes()).hexdigest()
