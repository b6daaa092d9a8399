"""The frozen cells of grids/report-2021.yaml with and without shared features: CPU time and accuracy.

python -m benchmarks.frozen_features FOLDER [--weights FILE] [--seeds N]    # FOLDER: faces in class folders

Each backbone of the grid is timed in its own process, on one thread. Measured per picture: training without
shared features ("plain": an epoch of `fit` in float32, after the one that compiles) and augmentation; and in
float32 and mixed_bfloat16 computing the features and training the dnn head. Measured once per backbone:
compiling it for inference.

The grid's time is computed from these, from its cells, epochs and groups of cells that share features, and
from `--pictures`, split as in params.yaml. Plain, every epoch of every cell computes the features of training
and validation pictures. Shared, every group computes them once; augmented training pictures once per view,
with a view for each epoch or five in turn. Not counted, as they are the same either way: starting, building
the model, writing checkpoints, and second phases.

The accuracy is that of a cell that is trained on half the faces of FOLDER and validated on the others, with
MobileNetV2 at a width of 0.35 and its ImageNet weights, which Keras downloads or FILE holds.
"""

import argparse
import json
import os
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
from benchmarks.lib.faces import in_classes
from benchmarks.precision import PRECISIONS
from fer_tasks.models import build_model
from fer_tasks.settings import Cell, load_grid, load_settings
from fer_tasks.settings.training import Plan
from fer_tasks.training import fit, frozen_backbone
from fer_tasks.training.augmentation import SETS
from fer_tasks.training.backbone_runtime import compile_inference
from fer_tasks.training.feeding import Pictures, Rows, training_batch
from flows.engine.own_process import call_in_own_process
from testing.project_copy import ROOT

THIS = "benchmarks.frozen_features"  # `__name__` is "__main__" where this is run
PLAN = Plan(optimizer="adam", learning_rate=1e-4, epochs=3, batch_size=32)
SHARED: dict[str, dict[str, Any]] = {
    "shared": {},
    "in bfloat16": {"precision": "mixed_bfloat16"},
    "five views": {"views": 5},
}
EPOCH = 6.0  # s, at least, of a plain epoch, so that an epoch's fixed overhead is negligible
HEAD_ROWS = 8192  # pictures in an epoch of the head


def measure(backbone: str, side: int, send: Callable[[Any], None]) -> dict[str, Any]:
    """CPU seconds per picture: plain, augmented; and for each precision feature and head, and read, the CPU
    seconds to compile the backbone for inference."""
    build = partial(build_model, "transfer", (side, side, 3), 7, backbone=backbone, weights="none")
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (64, side, side, 3), np.uint8)
    shared = {precision: _shared(build, x, precision) for precision in PRECISIONS}
    n = int(np.clip(EPOCH / shared["float32"]["feature"], 96, 4096)) // 32 * 32
    pictures = Pictures(x, np.eye(7, dtype=np.float32)[rng.integers(0, 7, 64)], 32)
    change = training_batch(pictures, SETS["light"], 1)
    return {
        **shared,
        "augmented": min(_spent(lambda: change(0)) for _ in range(3)) / 32,
        "plain": _epoch(build, Rows(x, np.arange(n) % 64), "float32", None) / n,
    }


def _shared(build: Callable, x: np.ndarray, precision: str) -> dict[str, float]:
    extractor = frozen_backbone.split_backbone(fit.build_in_precision(build, precision)).extractor
    begun = time.process_time()
    compute = compile_inference(extractor)
    read = time.process_time() - begun
    store = partial(_zero_features, extractor.output_shape[1:])
    rows = Rows(x, np.zeros(HEAD_ROWS, int))
    return {
        "read": read,
        "feature": min(_spent(lambda: compute(x.astype(np.float32))) for _ in range(3)) / len(x),
        "head": _epoch(partial(build, head="dnn"), rows, precision, store) / HEAD_ROWS,
    }


def _spent(work: Callable[[], Any]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def _epoch(build: Callable, x: Rows, precision: str, store: frozen_backbone.FeatureStore | None) -> float:
    """CPU seconds of the fastest epoch after the first; 32 of the pictures are for validation."""
    y = np.random.default_rng(0).integers(0, 7, len(x))
    times: list[float] = []
    train, val = (Rows(x.array, rows) for rows in (x.rows[32:], x.rows[:32]))
    arrays = fit.Arrays(train, y[32:], val, y[:32])
    plan = PLAN.model_copy(update={"precision": precision})
    fit.fit(build, arrays, plan, 1, lambda row: times.append(time.process_time()), store=store)
    return np.diff(times).min()


def _zero_features(shape: tuple[int, ...], name: str, sizes: Mapping[int, int], make: Callable) -> Callable:
    """A feature store of zeros, which takes no time: the head's time does not depend on the values."""
    rows = [("x", np.float32, shape), ("y", np.float32, (7,))]
    return lambda part: np.zeros(sizes[part], rows)


def groups(cells: list[Cell]) -> dict[tuple[Any, ...], list[Cell]]:
    """The cells that only train a head, grouped by the features that they share."""
    by_features = defaultdict(list)
    for cell in cells:
        if cell.model == "transfer" and not cell.fine_tune and not cell.options.get("trainable"):
            shared = {name: value for name, value in cell.options.items() if name not in ("head", "dropout")}
            augmented = (cell.seed, cell.batch_size) if cell.augmentation != "none" else ()
            by_features[cell.recipe, repr(shared), cell.augmentation, augmented].append(cell)
    return by_features


def _side(steps: list[dict[str, Any]]) -> int:
    return next(step["size"] for step in steps if step["op"] == "resize")


def seconds(cells: list[Cell], times: Mapping[str, Any], train: int, val: int) -> dict[str, float]:
    """The CPU seconds of a group, plain and for each of SHARED.

    `times`: of `measure`. `train`, `val`: numbers of pictures.
    """
    augmented = cells[0].augmentation != "none"
    epochs, longest = sum(cell.epochs for cell in cells), max(cell.epochs for cell in cells)
    augmentation = times["augmented"] if augmented else 0.0

    def shared(precision: str = "float32", views: int = longest) -> float:
        one, passes = times[precision], min(longest, views) if augmented else 1
        features = passes * train * (one["feature"] + augmentation) + val * one["feature"] + one["read"]
        return features + epochs * (train + val) * one["head"]

    plain = epochs * ((train + val) * times["plain"] + train * augmentation)
    return {"plain": plain, **{name: shared(**options) for name, options in SHARED.items()}}


def accuracies(folder: Path, weights: str, seeds: int, send: Callable[[Any], None]) -> pd.DataFrame:
    """Validation accuracy of the best epoch in points: a row for each seed; columns plain, shared, in
    bfloat16."""
    x, y = in_classes(folder, [{"op": "resize", "size": 96}])
    half = len(x) // 2
    arrays = fit.Arrays(x[half:], y[half:], x[:half], y[:half])
    build = partial(build_model, "transfer", x.shape[1:], 7, alpha=0.35, weights=weights, head="dnn")
    plan = PLAN.model_copy(update={"epochs": 20})

    def store(name: str, sizes: Mapping[int, int], make: Callable[[int], np.ndarray]) -> Callable:
        return {part: make(part) for part in sizes}.__getitem__

    def best(seed: int, store: frozen_backbone.FeatureStore | None, **options: Any) -> float:
        fitted = fit.fit(build, arrays, plan.model_copy(update=options), seed, lambda row: None, store=store)
        return 100 * fitted.history["val_accuracy"].max()

    numbers = range(1, seeds + 1)
    columns = {
        name: [best(seed, store, **SHARED[name]) for seed in numbers] for name in ("shared", "in bfloat16")
    }
    return pd.DataFrame({"plain": [best(seed, None) for seed in numbers], **columns})


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.frozen_features", description=__doc__)
    parser.add_argument("folder", type=Path, help="faces in class folders, seven at most")
    parser.add_argument("--weights", default="imagenet", help="a file of MobileNetV2's at a width of 0.35")
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--seeds", type=int, default=1, help="of the accuracies")
    arguments = parser.parse_args()
    settings = load_settings(ROOT / "params.yaml")
    clean = settings.clean
    val = round(arguments.pictures * (1 - clean.test_share) * clean.val_share)
    train = round(arguments.pictures * (1 - clean.test_share)) - val
    measured: dict[tuple[str, int], dict[str, Any]] = {}
    spent: list[dict[str, Any]] = []
    columns = f"{'plain':>8}{'feature':>9}{'bfloat16':>9}{'head':>7}{'hours':>16}{'ratio':>7}"
    print(f"{'CPU ms a picture':42}{columns}")
    for (recipe, _, augmentation, _), cells in groups(load_grid("report-2021", ROOT / "grids").cells).items():
        kind = cells[0].options["backbone"], _side(settings.make_features.recipes[recipe])
        if kind not in measured:
            measured[kind] = call_in_own_process(f"{THIS}:measure", *kind, threads=1, on_message=print)
        times = measured[kind]
        of_group = seconds(cells, times, train, val)
        spent.append({"augmented": augmentation != "none", **of_group})
        name = f"{kind[0]} {recipe} {augmentation}, {len(cells)} cells"
        features = "".join(f"{1000 * times[precision]['feature']:9.2f}" for precision in PRECISIONS)
        hours = f"{of_group['plain'] / 3600:.2f} > {of_group['shared'] / 3600:.2f}"
        each = f"{1000 * times['plain']:8.2f}{features}{1000 * times['float32']['head']:7.2f}"
        print(f"{name:42}{each}{hours:>16}{of_group['plain'] / of_group['shared']:7.1f}", flush=True)
    totals = pd.DataFrame(spent).groupby("augmented").sum()
    ratios = totals.rdiv(totals["plain"], axis=0)
    accuracy = call_in_own_process(
        f"{THIS}:accuracies",
        arguments.folder,
        arguments.weights,
        arguments.seeds,
        threads=1,
        on_message=print,
    )
    print(accuracy.round(2).to_string())
    difference = accuracy.sub(accuracy["plain"], axis=0).mean()
    figures = {
        "ratio": ratios["shared"][False],
        "ratio_augmented": ratios["shared"][True],
        "ratio_augmented_bfloat16": ratios["in bfloat16"][True],
        "ratio_augmented_5_views": ratios["five views"][True],
        "hours_plain": totals["plain"][False] / 3600,
        "hours_plain_augmented": totals["plain"][True] / 3600,
        "accuracy_difference": difference["shared"],
        "accuracy_difference_bfloat16": difference["in bfloat16"],
    }
    print(json.dumps({name: round(float(value), 2) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
