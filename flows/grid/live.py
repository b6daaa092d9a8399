"""The grid as DVC shows it while it is trained: `dvc exp show`, `dvc metrics show`, `dvc plots show`."""

import warnings
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock

from fer_tasks import cells

CURVES = "learning_curves"  # plots/custom/learning_curves.json: a row an epoch of each cell


def show_grid(folder: Path, lock: Path, models: Path, names: Sequence[str]) -> None:
    """DVCLive's metrics.json, each cell's last epoch, and the learning curves of these cells of `models`.

    A step is an epoch of any cell. All is written anew from the cells' histories, by whichever process has
    added an epoch to one; `lock` is the file by which they take turns.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # pynvml's: it should have been nvidia-ml-py
        from dvclive import Live  # here: the processes of cells import flows.train, but need none
    lock.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock):
        histories = {name: cells.read_history(models / name) for name in names}
        curves = [
            {"cell": name, **row} for name, rows in histories.items() for row in rows.to_dict("records")
        ]
        # DVC knows the files by the project's own dvc.yaml, and what is run by `dvc exp run`.
        live = Live(str(folder), report=None, save_dvc_exp=False, dvcyaml=None, resume=bool(curves))
        live.summary = {}
        for row in curves:
            for name in cells.EPOCHS:
                live.log_metric(f"{row['cell']}/{name}", row[name], plot=False)
        if curves:
            live.log_plot(CURVES, curves, x="epoch", y="val_accuracy")
        live.step = len(curves)
        live.sync()
