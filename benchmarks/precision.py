"""Training in float32 and in mixed_bfloat16: pictures per second of the paper CNN and MobileNetV3, and the
paper CNN's accuracy on faces.

python -m benchmarks.precision [FOLDER] [--threads N]    # FOLDER: faces in class folders, a quarter validates
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
from benchmarks.lib.faces import in_classes
from fer_tasks.models import build_model
from fer_tasks.settings.training import Plan
from fer_tasks.training import fit
from flows.engine.own_process import call_in_own_process

THIS = "benchmarks.precision"  # `__name__` is "__main__" where this is run
MODELS: dict[str, tuple[str, tuple[int, int, int], dict[str, Any]]] = {
    "paper_cnn": ("alizadeh_fazel", (48, 48, 1), {}),
    "mobilenet_v3": (
        "transfer",
        (150, 150, 3),
        {"backbone": "MobileNetV3Large", "weights": "none", "trainable": True},
    ),
}
PRECISIONS = ("float32", "mixed_bfloat16")
BATCH, STEPS, EPOCHS = 32, 10, 3  # the first epoch compiles the model and does not count


def speed(name: str, precision: str, send: Callable[[Any], None]) -> float:
    """Pictures per second of the fastest epoch of `fit` after the first."""
    model, shape, options = MODELS[name]
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (BATCH * STEPS, *shape), np.uint8)
    y = rng.integers(0, 7, len(x))
    times = [time.perf_counter()]
    fit.fit(
        partial(build_model, model, shape, 7, **options),
        fit.Arrays(x, y, x[:1], y[:1]),
        Plan(optimizer="adam", learning_rate=1e-3, epochs=EPOCHS, batch_size=BATCH, precision=precision),
        1,
        lambda row: times.append(time.perf_counter()),
    )
    return len(x) / np.diff(times)[1:].min()


def accuracy(folder: Path, precision: str, send: Callable[[Any], None]) -> float:
    """Validation accuracy, in points, of the paper CNN's best epoch on at most 4,000 faces. The momentum of
    its batch norms is lower than by default, since an epoch has few steps."""
    model, shape, options = MODELS["paper_cnn"]
    steps = [{"op": "gray"}, {"op": "resize", "size": shape[0]}, {"op": "rescale"}]
    x, y = in_classes(folder, steps, most=4000)
    cut = len(x) // 4
    fitted = fit.fit(
        partial(build_model, model, shape, 7, **options, norm_momentum=0.9),
        fit.Arrays(x[cut:], y[cut:], x[:cut], y[:cut]),
        Plan(
            optimizer="adam",
            learning_rate=1e-3,
            epochs=8,
            batch_size=64,
            schedule="one_cycle",
            precision=precision,
        ),
        1,
        send,
    )
    return 100 * fitted.history["val_accuracy"].max()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.precision", description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", help="faces in class folders, seven at most")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=2, help="of both, in turn; the best counts")
    arguments = parser.parse_args()
    figures = {}
    print(f"{'':16}" + "".join(f"{precision:>20}" for precision in PRECISIONS) + f"{'ratio':>8}")
    for name in MODELS:
        rounds = [
            [
                call_in_own_process(
                    f"{THIS}:speed", name, precision, threads=arguments.threads, on_message=print
                )
                for precision in PRECISIONS
            ]
            for _ in range(arguments.rounds)
        ]
        single, half = np.max(rounds, axis=0)
        print(f"{name:16}{single:14.1f} /s  {half:16.1f} /s{half / single:8.2f}", flush=True)
        figures[f"ratio_{name}"] = round(half / single, 3)
        figures |= {f"{name}_float32": round(single, 1), f"{name}_bfloat16": round(half, 1)}
    for precision in PRECISIONS if arguments.folder else ():
        points = call_in_own_process(
            f"{THIS}:accuracy", arguments.folder, precision, threads=arguments.threads, on_message=print
        )
        print(f"accuracy of the paper CNN in {precision}: {points:.2f} %")
        figures[f"accuracy_{precision}"] = round(points, 2)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
