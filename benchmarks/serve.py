"""`monday-fer serve` under load: requests a second, delay, lost requests, memory; `fer` over HTTP beside it.

python -m benchmarks.serve PHOTOS [--model DIR] [--requests N] [--peer PYTHON]      # PHOTOS: a folder

1, 20 and 200 clients, each of which sends a photo as soon as it has the answer to the one before, on loopback
and on the same cores as the server. Then 20 clients, until there were N requests in all: `peak_mb` is the
most memory that the server took, `growth_mb` what it took more at the end than after the first 20 clients.
PYTHON is that of an environment with `fer`, as `benchmarks.predict` tells; without it the ratios are left
out. Takes ten minutes on two cores with 20,000 requests.
"""

import argparse
import http.client
import json
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np
import psutil

from apps.predict.predictor import default_model
from benchmarks.lib import fer_server, torchvision_stub
from testing.web import started

LOADS = {1: 200, 20: 2000, 200: 2000}  # clients, and how many requests they make in all
OF_PEER = 200  # requests to `fer`
PATIENCE_S = 120  # of a client
WORDS = {"haar": "fer, its own detector", "mtcnn": "fer, MTCNN"}


class Load(NamedTuple):
    """What came of some clients' requests."""

    per_second: float
    p95_ms: float
    lost: int  # without an answer of status 200


def load(url: str, photos: list[bytes], clients: int, requests: int) -> Load:
    """Let clients send photos, one after the other, until there were so many requests."""
    turns, delays = count(), []

    def be_a_client() -> None:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE_S)
        while (turn := next(turns)) < requests:
            begun = time.perf_counter()
            if _is_answered(connection, photos[turn % len(photos)]):
                delays.append(time.perf_counter() - begun)
        connection.close()

    threads = [threading.Thread(target=be_a_client) for _ in range(clients)]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wall = time.perf_counter() - begun
    p95 = 1000 * float(np.percentile(delays, 95)) if delays else float("nan")
    return Load(len(delays) / wall, p95, requests - len(delays))


def _is_answered(connection: http.client.HTTPConnection, photo: bytes) -> bool:
    try:
        connection.request("POST", "/predict", photo, {"Content-Type": "image/jpeg"})
        reply = connection.getresponse()
        reply.read()
        return reply.status == 200
    except (OSError, http.client.HTTPException):
        connection.close()
        return False


def ours(photos: list[bytes], model: Path, requests: int) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    command = ["apps.command", "serve", "--port", "0", "--model", str(model.absolute())]
    with started(command) as (process, url):
        server = psutil.Process(process.pid)
        load(url, photos, 4, 40)  # the first answers compile the networks
        lost, early = 0, 0.0
        for clients, number in LOADS.items():
            done = load(url, photos, clients, min(number, requests))
            _show("serve", clients, done)
            figures |= {f"rps_{clients}": round(done.per_second, 1), f"p95_ms_{clients}": round(done.p95_ms)}
            lost += done.lost
            early = early or (_mb(server) if clients > 1 else 0.0)
        rest = requests - sum(LOADS.values())
        if rest > 0:
            lost += load(url, photos, 20, rest).lost
        peak = _peak_mb(process.pid)
        figures |= {"lost": lost, "peak_mb": round(peak), "growth_mb": round(_mb(server) - early)}
    print(f"  {lost} lost, peak {peak:.0f} MB, {figures['growth_mb']:+} MB since the first 20 clients")
    return figures


def peers(photos: list[bytes], python: str, per_second: float) -> Iterator[tuple[str, float]]:
    """How many times as many requests a second ours answers to 20 clients."""
    for detector, words in WORDS.items():
        with _peer(python, detector) as url:
            load(url, photos, 1, 5)
            done = load(url, photos, 20, OF_PEER)
        _show(words, 20, done)
        yield f"ratio_20{'_mtcnn' * (detector == 'mtcnn')}", round(per_second / done.per_second, 1)


@contextmanager
def _peer(python: str, detector: str) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as stub:
        torchvision_stub.write_stub(Path(stub))
        environ = {**os.environ, "PYTHONPATH": stub, "TF_CPP_MIN_LOG_LEVEL": "3"}
        command = [python, fer_server.__file__, detector]
        with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as process:
            try:
                lines = iter(process.stdout.readline, "")
                yield next(line for line in lines if " at " in line).split(" at ")[1].split("/ (")[0]
            finally:
                process.kill()


def _show(words: str, clients: int, done: Load) -> None:
    told = f"{done.per_second:8.1f} requests/s, p95 {done.p95_ms:6.0f} ms, {done.lost} lost"
    print(f"  {words:<24}{clients:4} clients{told}", flush=True)


def _mb(process: psutil.Process) -> float:
    return process.memory_info().rss / 2**20


def _peak_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serve",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("photos", type=Path, help="a folder with JPEGs, of any depth")
    parser.add_argument("--model", type=Path, default=default_model(), help="default: %(default)s")
    parser.add_argument("--requests", type=int, default=20_000, help="in all (default: %(default)s)")
    parser.add_argument("--peer", metavar="PYTHON", help="the Python of an environment with `fer`")
    arguments = parser.parse_args()
    photos = [file.read_bytes() for file in sorted(arguments.photos.rglob("*.jpg"))]
    if not photos:
        raise SystemExit(f"{arguments.photos} has no .jpg")
    print(f"{len(photos):,} photos of {sum(map(len, photos)) / len(photos) / 1000:.0f} KB on average")
    figures = ours(photos, arguments.model, arguments.requests)
    if arguments.peer:
        figures |= peers(photos, arguments.peer, figures["rps_20"])
    figures["load_average"] = round(os.getloadavg()[0], 1)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
