"""The grid in `dvc exp show`, `dvc metrics show` and `dvc plots show` while it is trained."""

import shutil
import warnings
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from filelock import FileLock

from fer_tasks.storage import cells

CURVES = "learning_curves"  # plots/custom/learning_curves.json: a row an epoch of each cell


def show_grid(folder: Path, lock: Path, models: Path, names: Sequence[str]) -> None:
    """Write DVCLive's metrics.json (each cell's last epoch) and the learning curves of the cells `names`.

    A step is an epoch of any cell. The files are rewritten from the cells' histories by whichever process has
    just added an epoch; the processes take turns by the file `lock`.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock):
        live = _live(folder.resolve())
        live.summary, curves = {}, []
        for name in names:
            rows = cells.read_history(models / name).to_dict("records")
            curves += [{"cell": name, **row} for row in rows]
            for figure, value in (rows[-1] if rows else {}).items():
                live.log_metric(f"{name}/{figure}", value, plot=False)
        if curves:
            live.log_plot(CURVES, curves, x="epoch", y="val_accuracy")
        else:
            shutil.rmtree(folder / "plots", ignore_errors=True)
        live.step = len(curves)
        live.sync()


@cache
def _live(folder: Path) -> Any:
    """One DVCLive a process: each keeps a thread and open files. It writes no dvc.yaml and saves no
    experiment: the project's own dvc.yaml names its files."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # pynvml's: it should have been nvidia-ml-py
        from dvclive import Live  # here: the processes of cells import flows.train, but do not need it
    return Live(str(folder), report=None, save_dvc_exp=False, dvcyaml=None)
