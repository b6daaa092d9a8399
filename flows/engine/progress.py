"""A progress bar in the terminal and in Prefect's UI."""

import io
import sys
from typing import Any
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from tqdm import tqdm


class Progress(tqdm):
    """A tqdm bar that the Prefect UI shows too, as progress artifact `key` (lower case, digits, dashes)."""

    def __init__(self, key: str, total: int | None = None, unit: str = "it"):
        shown = None if sys.stderr.isatty() else io.StringIO()  # no moving bar in a log file
        scaled = {"unit": unit, "unit_scale": unit == "B", "unit_divisor": 1024}
        super().__init__(total=total, desc=key, leave=False, mininterval=0.5, file=shown, **scaled)
        self._artifact: UUID = create_progress_artifact(0.0, key=key, description="starting")

    def __exit__(self, *raised: Any) -> None:
        if self.total is None and raised[0] is None:  # the total was not known before
            self.reach(self.n, self.n)
        super().__exit__(*raised)

    def update(self, n: float = 1) -> bool | None:
        shown = super().update(n)
        if shown or self.n == self.total:
            done, whole = (f"{amount or 0:,.0f}" for amount in (self.n, self.total))
            text = f"{done} of {whole if self.total else '?'}{' bytes' if self.unit == 'B' else ''}"
            text += f", {self.postfix}" if self.postfix else ""
            percent = min(100.0, 100.0 * self.n / self.total) if self.total else 0.0
            update_progress_artifact(self._artifact, percent, description=text)
        return shown

    def reach(self, n: int, total: int) -> None:
        """Move to `n` of `total`; 0 if the total is unknown."""
        self.total = total or None
        self.update(n - self.n)
