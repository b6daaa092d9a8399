"""The grid as DVC shows it while it is trained: `dvc exp show`, `dvc metrics show`, `dvc plots show`."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock

CURVES = "learning_curves"  # plots/custom/learning_curves.json: a row an epoch of each cell
ROW = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy")


class LiveGrid:
    """DVCLive's metrics.json, each cell's last epoch, and the learning curves of all cells.

    A step is an epoch of any cell. All is written anew from what is known of every cell, not resumed: a run
    may have been killed between a cell's checkpoint and its metrics.
    """

    def __init__(self, folder: Path):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # pynvml's: it should have been nvidia-ml-py
            from dvclive import Live  # here: the processes of cells import flows.train, but need none
        # DVC knows the files by the project's own dvc.yaml, and what is run by `dvc exp run`.
        self._live = Live(str(folder), report=None, save_dvc_exp=False, dvcyaml=None)
        self._rows: dict[str, list[Mapping[str, float]]] = {}
        self._lock = Lock()  # cells are trained side by side

    def begin(self, cell: str, rows: Sequence[Mapping[str, float]]) -> None:
        """A cell begins after these epochs, none or those of its checkpoint, or has been trained by them."""
        with self._lock:
            self._rows[cell] = list(rows)
            self._show(cell)

    def add(self, cell: str, row: Mapping[str, float]) -> None:
        """A cell has done one more epoch."""
        with self._lock:
            self._rows[cell].append(row)
            self._show(cell)

    def end(self) -> None:
        """No more epochs come."""
        self._live.end()

    def _show(self, cell: str) -> None:
        for name in ROW if self._rows[cell] else ():
            self._live.log_metric(f"{cell}/{name}", self._rows[cell][-1][name], plot=False)
        curves = [{"cell": cell, **row} for cell, rows in self._rows.items() for row in rows]
        if curves:
            self._live.log_plot(CURVES, curves, x="epoch", y="val_accuracy")
        self._live.step = len(curves)
        self._live.sync()
