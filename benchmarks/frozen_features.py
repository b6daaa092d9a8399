"""The frozen cells of grids/report-2021.yaml by shared features beside the plain way: CPU time and accuracy.

python -m benchmarks.frozen_features FOLDER [--weights FILE]    # FOLDER: faces in class folders

Every backbone of the grid is timed in a process of its own, on one thread: a picture of the plain way (an
epoch of `fit`, after the one that compiles), a picture's features, a picture of the dnn head (likewise), an
augmented picture, and what is paid once: reading the backbone into the runtime. The grid's time is what these
come to at its cells, epochs and groups that share, and at `--pictures`, split as params.yaml splits them:
plain, every epoch of every cell computes train and validation; shared, every group computes them once, or
train once a view. Not counted either way: to start, to build the model, to write checkpoints, and second
phases, which are alike. Accuracy is that of both ways on the faces of FOLDER, with MobileNetV2 at a width of
0.35 and its ImageNet weights, which Keras downloads or FILE holds.
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

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
from benchmarks.faces import in_classes
from benchmarks.workspace import ROOT
from fer_tasks.models import build_model
from fer_tasks.settings import Cell, load_grid, load_settings
from fer_tasks.training import fit, frozen
from fer_tasks.training.augmentation import SETS
from fer_tasks.training.feeding import Pictures, Rows, training_batch
from fer_tasks.training.isolation import call_in_own_process
from fer_tasks.training.plan import Plan
from fer_tasks.training.runtime import fastest

PLAN = Plan("adam", 1e-4, 3, 32)
EPOCH = 6.0  # s of an epoch of the plain way, or more: what an epoch costs by itself does not count
HEAD_ROWS = 8192


def measure(backbone: str, side: int, send: Callable[[Any], None]) -> dict[str, float]:
    """CPU seconds a picture: plain, feature, head, augmented; and to read the backbone into the runtime."""
    build = partial(build_model, "transfer", (side, side, 3), 7, backbone=backbone, weights="none")
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (64, side, side, 3), np.uint8)
    extractor = frozen.split(build()).extractor
    begun = time.process_time()
    compute = fastest(extractor)
    read = time.process_time() - begun
    feature = min(_spent(lambda: compute(x.astype(np.float32))) for _ in range(3)) / len(x)
    n = int(np.clip(EPOCH / feature, 96, 4096)) // 32 * 32
    pictures = Pictures(x, np.eye(7, dtype=np.float32)[rng.integers(0, 7, 64)], 32)
    change = training_batch(pictures, SETS["light"], 1)
    share = partial(_made_up, extractor.output_shape[1:])
    return {
        "read": read,
        "feature": feature,
        "augmented": min(_spent(lambda: change(0)) for _ in range(3)) / 32,
        "plain": _epoch(build, Rows(x, np.arange(n) % 64), None) / n,
        "head": _epoch(partial(build, head="dnn"), Rows(x, np.zeros(HEAD_ROWS, int)), share) / HEAD_ROWS,
    }


def _spent(work: Callable[[], Any]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def _epoch(build: Callable, x: Rows, share: frozen.Share | None) -> float:
    """CPU seconds of the fastest epoch but the first, of pictures all but 32 of which are learnt."""
    y = np.random.default_rng(0).integers(0, 7, len(x))
    times: list[float] = []
    train, val = (Rows(x.array, rows) for rows in (x.rows[32:], x.rows[:32]))
    arrays = fit.Arrays(train, y[32:], val, y[:32])
    fit.fit(build, arrays, PLAN, 1, lambda row: times.append(time.process_time()), share=share)
    return np.diff(times).min()


def _made_up(shape: tuple[int, ...], name: str, sizes: Mapping[int, int], make: Callable) -> Callable:
    """Features of the right shape in no time: what they are makes no difference to the head's."""
    rows = [("x", np.float32, shape), ("y", np.float32, (7,))]
    return lambda part: np.zeros(sizes[part], rows)


def groups(cells: list[Cell]) -> dict[tuple[Any, ...], list[Cell]]:
    """The cells that only train a head, by what they share."""
    found = defaultdict(list)
    for cell in cells:
        if cell.model == "transfer" and not cell.fine_tune and not cell.options.get("trainable"):
            shared = {name: value for name, value in cell.options.items() if name not in ("head", "dropout")}
            augmented = (cell.seed, cell.batch_size) if cell.augmentation != "none" else ()
            found[cell.recipe, repr(shared), cell.augmentation, augmented].append(cell)
    return found


def _side(steps: list[dict[str, Any]]) -> int:
    return next(step["size"] for step in steps if step["op"] == "resize")


def seconds(
    cells: list[Cell], of: Mapping[str, float], train: int, val: int, views: int | None = None
) -> tuple[float, float]:
    """A group's CPU seconds, the plain way and shared."""
    augmented = cells[0].augmentation != "none"
    epochs, longest = sum(cell.epochs for cell in cells), max(cell.epochs for cell in cells)
    change = of["augmented"] if augmented else 0.0
    plain = epochs * ((train + val) * of["plain"] + train * change)
    passes = min(longest, views or longest) if augmented else 1
    features = passes * train * (of["feature"] + change) + val * of["feature"] + of["read"]
    return plain, features + epochs * (train + val) * of["head"]


def accuracies(folder: Path, weights: str, send: Callable[[Any], None]) -> tuple[float, float]:
    """Validation accuracy of the best epoch, in points, the plain way and shared."""
    x, y = in_classes(folder, [{"op": "resize", "size": 96}])
    cut = len(x) // 4
    arrays = fit.Arrays(x[cut:], y[cut:], x[:cut], y[:cut])
    build = partial(build_model, "transfer", x.shape[1:], 7, alpha=0.35, weights=weights, head="dnn")
    plan = PLAN._replace(learning_rate=1e-3, epochs=10, augmentation="light")

    def share(name: str, sizes: Mapping[int, int], make: Callable[[int], np.ndarray]) -> Callable:
        return {part: make(part) for part in sizes}.__getitem__

    ways = (fit.fit(build, arrays, plan, 1, send, share=way).history for way in (None, share))
    return tuple(100 * history["val_accuracy"].max() for history in ways)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.frozen_features", description=__doc__)
    parser.add_argument("folder", type=Path, help="faces in class folders, seven at most")
    parser.add_argument("--weights", default="imagenet", help="a file of MobileNetV2's at a width of 0.35")
    parser.add_argument("--pictures", type=int, default=20_000)
    arguments = parser.parse_args()
    settings = load_settings(ROOT / "params.yaml")
    clean = settings.clean
    val = round(arguments.pictures * (1 - clean.test_share) * clean.val_share)
    train = round(arguments.pictures * (1 - clean.test_share)) - val
    known: dict[tuple[str, int], dict[str, float]] = {}
    spent: dict[bool, list[tuple[float, float, float]]] = {False: [], True: []}
    print(f"{'CPU ms a picture':42}{'plain':>8}{'features':>10}{'head':>8}{'hours':>16}{'ratio':>8}")
    for (recipe, _, augmentation, _), cells in groups(load_grid("report-2021", ROOT / "grids").cells).items():
        kind = cells[0].options["backbone"], _side(settings.make_features.recipes[recipe])
        if kind not in known:
            known[kind] = call_in_own_process(measure, *kind, threads=1, on_message=print)
        of = known[kind]
        plain, shared = seconds(cells, of, train, val)
        fewer = seconds(cells, of, train, val, views=5)[1]
        spent[augmentation != "none"].append((plain, shared, fewer))
        name = f"{kind[0]} {recipe} {augmentation}, {len(cells)} cells"
        each = "".join(
            f"{1000 * of[part]:{w}.2f}" for part, w in (("plain", 8), ("feature", 10), ("head", 8))
        )
        hours = f"{plain / 3600:.2f} > {shared / 3600:.2f}"
        print(f"{name:42}{each}{hours:>16}{plain / shared:8.1f}", flush=True)
    totals = {augmented: np.sum(figures, axis=0) for augmented, figures in spent.items()}
    accuracy = call_in_own_process(accuracies, arguments.folder, arguments.weights, threads=1)
    print(f"accuracy, plain and shared: {accuracy[0]:.2f} and {accuracy[1]:.2f} %")
    figures = {
        "ratio": totals[False][0] / totals[False][1],
        "ratio_augmented": totals[True][0] / totals[True][1],
        "ratio_augmented_5_views": totals[True][0] / totals[True][2],
        "hours_plain": totals[False][0] / 3600,
        "hours_plain_augmented": totals[True][0] / 3600,
        "accuracy_difference": abs(accuracy[0] - accuracy[1]),
    }
    print(json.dumps({name: round(value, 2) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
