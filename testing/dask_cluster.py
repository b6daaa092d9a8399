"""A Dask cluster on 127.0.0.1: a scheduler in a process of its own, and workers of one thread each."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from testing.project_copy import environment

# On a machine with twenty times the work it can do a scheduler was silent for 77 s; Dask gives up after 30.
PATIENT = dict.fromkeys(
    ("DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT", "DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP"), "300s"
)
CLUSTER = """
import sys
import dask
from distributed import LocalCluster
dask.config.set({"distributed.worker.daemon": False})
with LocalCluster(n_workers=int(sys.argv[1]), threads_per_worker=1, dashboard_address=":0") as cluster:
    print(cluster.scheduler_address, flush=True)
    sys.stdin.read()
"""


@contextmanager
def dask_cluster(folder: Path, workers: int, log: Path) -> Iterator[tuple[str, int]]:
    """Run a cluster whose workers work in a folder, until the context ends; yields the scheduler's address
    and the process of which all others are children."""
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", CLUSTER, str(workers)],
            cwd=folder,
            env=environment(folder, **PATIENT),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
        )
    try:
        address = process.stdout.readline().strip()
        assert address, log.read_text()
        yield address, process.pid
    finally:  # at once: a cluster that closes by itself waits half a minute for a worker that is busy
        for one in [*psutil.Process(process.pid).children(recursive=True), process]:
            one.kill()
        process.stdin.close()
        process.stdout.close()  # unread: a worker's children that outlived it hold the other end for a minute
        process.wait()
