"""`make run`: check the settings, see that a Prefect server answers, `dvc repro`, and say where to look."""

import os
import subprocess
import sys
from pathlib import Path

from fer_tasks.settings import load_grid, load_settings
from flows.server import start_in_background
from flows.source import check_source
from flows.stage import mistakes_in_one_line


def run() -> int:
    """Run the whole line; returns the exit status of `dvc repro`."""
    settings = load_settings()
    load_grid(settings.train.grid)
    check_source(Path(settings.download.source))  # told before anything starts
    url = start_in_background()
    status = subprocess.run(
        [sys.executable, "-m", "dvc", "repro"], env={**os.environ, "PREFECT_API_URL": url}
    ).returncode
    if status == 0:
        sys.stdout.write(
            f"\nreport   {Path('reports/index.html').resolve().as_uri()}\n"
            f"         {url.removesuffix('/api')}/reports/\n"
            f"data     {Path('reports/data.html').resolve().as_uri()}\n"
            f"         {url.removesuffix('/api')}/reports/data.html\n"
            f"runs     {url.removesuffix('/api')} (Prefect's UI; `make stop` ends its server)\n"
        )
    return status


if __name__ == "__main__":
    with mistakes_in_one_line():
        sys.exit(run())
