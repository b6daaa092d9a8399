"""`make run`: check the settings, see that a Prefect server answers, `dvc repro`, and say where to look."""

import os
import subprocess
import sys
from pathlib import Path

from fer_tasks.settings import AUTO, LARGE, SMALL, load_grid, load_settings
from fer_tasks.storage.model_folder import read_pretrained
from flows.command import ready_for_prefect
from flows.engine.cluster import check_server_for_cluster
from flows.server.background import start_in_background
from flows.server.which_server import serves_this_project
from flows.source_files import check_source, has_unread_change


def run() -> int:
    """Run the whole line; returns the exit status of `dvc repro`."""
    settings = load_settings()
    for name in (SMALL, LARGE) if settings.train.grid == AUTO else (settings.train.grid,):
        load_grid(name)
    source = Path(settings.download.source)
    check_source(source)  # told before anything starts
    if settings.clean.label_model == "pretrained":
        read_pretrained("clean.label_model: hog")
    check_server_for_cluster()
    url = start_in_background(settings.server.idle_minutes)

    def repro(*options: str) -> int:
        command = [sys.executable, "-m", "dvc", "repro", *options]
        return subprocess.run(command, env={**os.environ, "PREFECT_API_URL": url}).returncode

    status = repro("--single-item", "--force", "download") if has_unread_change(source) else 0
    status = status or repro()
    if status == 0:
        sys.stdout.write(_where_to_look(url, settings.server.idle_minutes))
    return status


def _where_to_look(url: str, idle_minutes: float) -> str:
    ui, served = url.removesuffix("/api"), serves_this_project(url)
    lines = []
    pages = (("report", "index.html", ""), ("model", "model.html", "model.html"))
    for name, page, path in (*pages, ("data", "data.html", "data.html")):
        lines.append(f"{name:<8} {Path('reports', page).resolve().as_uri()}")
        lines += [f"         {ui}/reports/{path}"] if served else []
    after = f"; its server ends after {idle_minutes:g} idle minutes, or by `make stop`" if served else ""
    return "\n" + "\n".join([*lines, f"runs     {ui} (Prefect's UI{after})"]) + "\n"


if __name__ == "__main__":
    with ready_for_prefect():
        sys.exit(run())
