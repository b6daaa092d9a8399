"""Time and peak memory of each stage, and the time of a run without changes and of one with a new picture.

python -m benchmarks.stages [FOLDER]     # FOLDER: photos in class folders; else the generated sample
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
import yaml

from testing.project_copy import change_params, copy_project, environment


def measured(command: list[str], project: Path) -> dict:
    """Run a command: its wall seconds, the peak resident MB of it and its children together, its output."""
    start = time.perf_counter()
    process = subprocess.Popen(
        command,
        cwd=project,
        env=environment(project),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    peak = [0]
    watch = threading.Thread(target=_watch, args=(process.pid, peak), daemon=True)
    watch.start()
    output = process.communicate()[0]
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{output[-3000:]}")
    return {"wall_s": round(time.perf_counter() - start, 1), "peak_mb": peak[0] >> 20, "output": output}


def _watch(pid: int, peak: list[int]) -> None:
    while psutil.pid_exists(pid):
        try:
            root = psutil.Process(pid)
            family = [root, *root.children(recursive=True)]
            peak[0] = max(peak[0], sum(each.memory_info().rss for each in family))
        except psutil.Error:
            pass
        time.sleep(0.1)


def dvc(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "dvc", *arguments]


def computed(output: str, task: str) -> int:
    """How many items a task computed, and did not take from the cache, by the stage's log."""
    return int(re.search(rf"{task}: (\d+) of \d+ computed", output)[1])


def bench(folder: Path | None, project: Path) -> dict:
    stages = list(yaml.safe_load((project / "dvc.yaml").read_text())["stages"])
    if folder:
        photos = shutil.copytree(folder, project / "photos")
        change_params(project, download={"source": "photos"})
    figures: dict = {"stages": {}}
    for stage in stages:
        run = measured(dvc("repro", "--no-run-cache", "--single-item", stage), project)
        figures["stages"][stage] = {key: run[key] for key in ("wall_s", "peak_mb")}
        print(f"{stage:<16}{run['wall_s']:>8.1f} s{run['peak_mb']:>8} MB", flush=True)
        if stage == "crop_faces":
            figures["detections"] = computed(run["output"], "detect")
    total = sum(stage["wall_s"] for stage in figures["stages"].values())
    nothing = measured(dvc("repro"), project)
    figures |= {"total_s": round(total, 1), "unchanged_s": nothing["wall_s"]}
    figures["unchanged_ratio"] = round(total / nothing["wall_s"], 1)
    if folder:
        photo = next(path for path in sorted(photos.rglob("*")) if path.suffix in (".jpg", ".png"))
        photo.with_stem(photo.stem + "-again").write_bytes(photo.read_bytes() + b"\0")  # new bytes: a new id
        again = measured(dvc("repro", "crop_faces"), project)["output"]
        figures["detections_after_one_more"] = computed(again, "detect")
        figures["rerun_share"] = round(figures["detections_after_one_more"] / figures["detections"], 4)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stages", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="photos in class folders (default: the sample)")
    folder = parser.parse_args().folder
    with tempfile.TemporaryDirectory() as temporary:
        figures = bench(folder, copy_project(Path(temporary)))
    print(f"{'all':<16}{figures['total_s']:>8.1f} s")
    print(f"{'nothing changed':<16}{figures['unchanged_s']:>8.1f} s, {figures['unchanged_ratio']} times less")
    if folder:
        print(
            f"one picture more: {figures['detections_after_one_more']} of {figures['detections']} faces again"
        )
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
