"""Compute a frozen backbone's features once and train only the head on them.

The head is built of the model's own layers, so its weights are the model's, and its seeds are drawn as if the
whole model were trained: losses and weights equal those of training the whole model, up to the rounding of
`backbone_runtime.compile_inference`.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from fer_tasks.settings.training import Plan
from fer_tasks.training.augmentation import SETS, UNCHANGED
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

BACKBONE = "backbone"  # the name of the layer that is frozen, or was frozen in the first phase
FIXED = ("features", BACKBONE)  # the features are the output of the first of these layers that a model has
STEPS = 32  # batches a part: half a minute of the slowest backbone
BATCH = 32  # pictures a batch where they are not augmented

# (name, rows of each part, compute) -> a function that returns part i, computing it if no process has.
FeatureStore = Callable[[str, Mapping[int, int], Callable[[int], np.ndarray]], Callable[[int], np.ndarray]]
Epoch = Callable[[int], tf.data.Dataset]  # endless batches from an epoch on


class SplitModel(NamedTuple):
    """A model cut in two; both parts share its layers."""

    extractor: keras.Model  # pictures (n, M, N, C), 0..255 -> features, by preprocessing and frozen backbone
    head: keras.Model  # features -> probabilities


def split_backbone(model: keras.Model) -> SplitModel | None:
    """Cut a model after its frozen backbone, or after the pooling that follows; None if it has none."""
    names = {layer.name for layer in model.layers}
    if BACKBONE not in names or model.get_layer(BACKBONE).trainable:
        return None
    cut = model.get_layer(next(name for name in FIXED if name in names)).output
    extractor = keras.Model(model.input, cut, name="fixed")
    return SplitModel(extractor, keras.Model(cut, model.output, name=model.name))


def batches(
    extractor: keras.Model,
    train: Pictures,
    val: Pictures,
    plan: Plan,
    seed: int,
    done: int,
    store: FeatureStore,
) -> tuple[Epoch, tf.data.Dataset]:
    """Batches of features instead of pictures: for training from epoch `done` of the first phase, and for
    validation.

    The features of augmented pictures are computed once for each of the plan's views. View v has the
    pictures that epoch v would see without stored features. Later epochs repeat the views in turn, each epoch
    in its own order.
    """
    compute, name = cache(lambda: compile_inference(extractor)), _digest(extractor)
    validation = validation_batches(_plain(val, compute, name, store))
    if SETS[plan.augmentation] == UNCHANGED:
        pictures = _plain(train, compute, name, store)
        return partial(training_batches, pictures, UNCHANGED, seed), validation
    augmented = FeatureParts(train, training_batch(train, SETS[plan.augmentation], seed), compute)
    name = f"{name} {_content(train)} {plan.augmentation} {seed} {train.batch_size}"
    n_views = plan.views or plan.epochs
    views = augmented.views(name, {epoch % n_views for epoch in range(done, plan.epochs)}, store)
    return partial(_view_batches, views, n_views, seed), validation


def _plain(pictures: Pictures, compute: Callable[[], Function], name: str, store: FeatureStore) -> Pictures:
    """The features of pictures that are not augmented."""
    regrouped = pictures._replace(batch_size=BATCH)
    parts = FeatureParts(regrouped, stored_batch(regrouped), compute)
    features = parts.views(f"{name} {_content(pictures)}", [0], store)[0]
    return features._replace(batch_size=pictures.batch_size)


def _view_batches(
    views: Mapping[int, Pictures], n_views: int, seed: int, first_epoch: int
) -> tf.data.Dataset:
    """Endless batches: each epoch has its view; from the second turn on, also its own order."""
    some_view = next(iter(views.values()))
    n, size, steps = len(some_view.x), some_view.batch_size, some_view.steps

    def batch(number: int) -> Batch:
        epoch, step = divmod(number, steps)
        order = np.arange(n) if epoch < n_views else shuffled(n, seed, epoch)
        rows, view = order[step * size : (step + 1) * size], views[epoch % n_views]
        return view.x[rows], view.y[rows]

    return endless(batch, some_view, first_epoch)


@dataclass(frozen=True)
class FeatureParts:
    """The features of views of pictures, in parts of at most STEPS batches.

    Batch `view * steps + k` is the k-th of a view; part `view * parts_a_view + i` has the view's batches from
    `i * STEPS` on.
    """

    pictures: Pictures
    batch: Callable[[int], Batch]  # the pictures and labels of a batch by its number
    compute: Callable[[], Function]  # pictures to features, compiled when first needed

    @property
    def rows_a_part(self) -> int:
        return STEPS * self.pictures.batch_size

    @property
    def parts_a_view(self) -> int:
        return -(-len(self.pictures.x) // self.rows_a_part)

    def views(self, name: str, numbers: Iterable[int], store: FeatureStore) -> dict[int, Pictures]:
        """The features of views by their numbers, in the order of their batches."""
        views, n, size = sorted(numbers), len(self.pictures.x), self.rows_a_part
        rows = {
            view * self.parts_a_view + i: min(size, n - i * size)
            for view in views
            for i in range(self.parts_a_view)
        }
        read_part = store(hashlib.sha256(name.encode()).hexdigest()[:16], rows, self.part)

        def array(view: int, field: str) -> PartedArray:
            return PartedArray(lambda i: read_part(view * self.parts_a_view + i), size, n, field)

        return {
            view: Pictures(array(view, "x"), array(view, "y"), self.pictures.batch_size) for view in views
        }

    def part(self, number: int) -> np.ndarray:
        """Compute a part: a structured array with the fields x, features, and y, labels."""
        view, i = divmod(number, self.parts_a_view)
        steps = range(i * STEPS, min((i + 1) * STEPS, self.pictures.steps))
        return np.concatenate([self._packed(view * self.pictures.steps + step) for step in steps])

    def _packed(self, number: int) -> np.ndarray:
        x, y = self.batch(number)
        features = self.compute()(x.astype(np.float32))
        rows = np.empty(len(x), [("x", features.dtype, features.shape[1:]), ("y", y.dtype, y.shape[1:])])
        rows["x"], rows["y"] = features, y
        return rows


def _digest(extractor: keras.Model) -> str:
    """A digest of an extractor's layers and weights."""
    digest = hashlib.sha256(extractor.to_json().encode())
    for weight in extractor.get_weights():
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()


def _content(pictures: Pictures) -> str:
    """A digest of the choice of pictures and their labels; the store's folder names the dataset."""
    rows = pictures.x.rows if isinstance(pictures.x, Rows) else pictures.x
    return hashlib.sha256(np.ascontiguousarray(rows).tobytes() + pictures.y.tobytes()).hexdigest()
