"""Stages on two Dask workers of this machine beside threads, the same work: seconds of CPU, the same bytes.

python -m benchmarks.dask_workers [FOLDER]     # FOLDER: photos in class folders; else the generated sample
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.lib.scheduled import cpu_seconds
from flows.server.own_server import RECORD
from testing.dask_cluster import dask_cluster
from testing.project_copy import change_params, content, copy_project, environment

STAGES = {"download": "raw", "crop_faces": "faces", "drop_text": "textfree", "clean": "clean"}
STAGES |= {"make_features": "features"}


def cpu_of(*pids: int) -> float:
    """Seconds of CPU of processes and all their children, those that have ended among them."""
    total = 0.0
    for pid in pids:
        root = psutil.Process(pid)
        total += sum(cpu_seconds(one) for one in [root, *root.children(recursive=True)])
    return total


def ran(stage: str, project: Path, beside: list[int], **extra: str) -> dict[str, float]:
    """Run a stage without results of before; its seconds, and those of CPU, of processes beside it too."""
    for cache in ("results", "prefect"):
        shutil.rmtree(project / ".cache" / cache, ignore_errors=True)
    before, began = cpu_of(*beside), time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", f"flows.{stage}"], cwd=project, env=environment(project, **extra)
    )
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{stage} failed")
    cpu = used.ru_utime + used.ru_stime + cpu_of(*beside) - before
    return {"wall_s": round(time.perf_counter() - began, 1), "cpu_s": round(cpu, 1)}


def bench(project: Path) -> dict:
    server = subprocess.run(
        [sys.executable, "-m", "flows.server", "--background"], cwd=project, env=environment(project)
    )
    server.check_returncode()
    pid = json.loads((project / RECORD).read_text())["pid"]
    figures: dict = {"stages": {}}
    with dask_cluster(project, 2, project.parent / "cluster.log") as (address, cluster):
        for stage, folder in STAGES.items():
            threads = ran(stage, project, [pid])
            made = content(project / "data" / folder)
            workers = ran(stage, project, [pid, cluster], DASK_SCHEDULER_ADDRESS=address)
            same = content(project / "data" / folder) == made
            figures["stages"][stage] = {"threads": threads, "workers": workers, "same_bytes": same}
            print(
                f"{stage:<16}{threads['cpu_s']:>7.1f} s{workers['cpu_s']:>7.1f} s  same bytes: {same}",
                flush=True,
            )
    sums = [sum(one[way]["cpu_s"] for one in figures["stages"].values()) for way in ("threads", "workers")]
    return figures | {
        "threads_cpu_s": sums[0],
        "workers_cpu_s": sums[1],
        "ratio": round(sums[1] / sums[0], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dask_workers", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="photos in class folders (default: the sample)")
    folder = parser.parse_args().folder
    with tempfile.TemporaryDirectory() as temporary:
        project = copy_project(Path(temporary) / "project")
        if folder:
            shutil.copytree(folder, project / "photos")
            change_params(project, download={"source": "photos"})
        figures = bench(project)
    threads, workers = figures["threads_cpu_s"], figures["workers_cpu_s"]
    print(f"{'all':<16}{threads:>7.1f} s{workers:>7.1f} s, {figures['ratio']} times")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
