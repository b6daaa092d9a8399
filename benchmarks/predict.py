"""`predict` beside the package `fer`: from the shell to an answer, a warm photo, a folder, memory.

python -m benchmarks.predict FOLDER [--model DIR] [--peer PYTHON]     # FOLDER: photos in class folders

PYTHON is that of an environment of its own that has `fer`, made so:
  python3 -m venv v; v/bin/pip install "setuptools<81"; v/bin/pip install --no-deps fer facenet-pytorch
  v/bin/pip install tensorflow torch "opencv-contrib-python-headless<5" pandas requests tqdm Pillow
  v/bin/pip install "setuptools<81"
Without it the ratios are left out. `cold_ratio` is to `fer` with its default detector, which is the quicker;
`warm_ratio` and `folder_ratio` are to `fer` with MTCNN, which finds the faces that ours finds.
Takes five minutes on two cores, most of it for `fer`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from apps.predict.predictor import MODEL, Predictor
from benchmarks.lib import fer_peer, torchvision_stub, videos

STARTS = 5  # of the command; the median counts
WARM, WARM_PEER = 100, 10  # times that the photo is asked about
SIZE = (640, 480)  # px of the warm photo
FEW, MANY, OF_PEER = 500, 5000, 60  # pictures of a folder; of these `fer` is asked about the first
WORDS = {"haar": "fer, its own detector", "mtcnn": "fer, MTCNN"}


class Run(NamedTuple):
    """A command that has ended."""

    wall_s: float
    peak_mb: float
    output: str


def timed(command: list[str], **environment: str) -> Run:
    """Run a command; what it writes to standard error is not shown."""
    start = time.perf_counter()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.DEVNULL, env={**os.environ, **environment}
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        output.seek(0)
        if os.waitstatus_to_exitcode(status):
            raise SystemExit(f"{' '.join(command[:5])} … failed")
        return Run(wall, usage.ru_maxrss / 1024, output.read())


def ask(model: Path, *given: object) -> Run:
    return timed([sys.executable, "-m", "apps.predict", *map(str, given), "--model", str(model)])


class Peer:
    """The package `fer` in an environment of its own."""

    def __init__(self, python: str, stub: Path):
        self._python, self._stub = python, stub
        torchvision_stub.write_stub(stub)

    def ask(self, detector: str, files: list[Path]) -> tuple[Run, list[tuple[float, float, int]]]:
        """The run as a whole; CPU seconds, wall seconds and number of faces of each file."""
        command = [self._python, fer_peer.__file__, detector, *map(str, files)]
        run = timed(command, PYTHONPATH=str(self._stub), TF_CPP_MIN_LOG_LEVEL="3")
        return run, json.loads(run.output.strip().splitlines()[-1])


def cold(photo: Path, model: Path, peer: Peer | None) -> dict[str, float]:
    """From the shell to the answer."""
    ask(model, photo)  # the files are then in memory, for `fer` too
    ours = statistics.median(ask(model, photo).wall_s for _ in range(STARTS))
    print(f"from the shell to the answer for one photo\n  {'predict':<24}{ours:8.2f} s", flush=True)
    figures = {"cold_s": round(ours, 3)}
    for detector, words in WORDS.items() if peer else ():
        peer.ask(detector, [photo])
        theirs = statistics.median(peer.ask(detector, [photo])[0].wall_s for _ in range(STARTS))
        print(f"  {words:<24}{theirs:8.2f} s{theirs / ours:8.1f} times", flush=True)
        figures["cold_ratio" if detector == "haar" else "cold_ratio_mtcnn"] = round(theirs / ours, 2)
    return figures


def warm(photo: Path, model: Path, peer: Peer | None) -> dict[str, float]:
    """CPU time of a photo with one face, when others were asked about before."""
    predictor, seconds = Predictor(model), []
    for _ in range(WARM):
        cpu = time.process_time()
        rows = predictor.predict(photo)
        seconds.append(time.process_time() - cpu)
    assert len(rows) == 1 and rows[0].expression, "the photo is to have one face"
    ours = 1000 * statistics.median(seconds[10:])
    print(f"a warm photo of {SIZE[0]} x {SIZE[1]} px with one face, CPU\n  {'predict':<24}{ours:8.1f} ms")
    figures = {"warm_ms": round(ours, 2)}
    for detector, words in WORDS.items() if peer else ():
        _, asked = peer.ask(detector, [photo] * WARM_PEER)
        theirs = 1000 * statistics.median(cpu for cpu, _, _ in asked)
        print(f"  {words:<24}{theirs:8.1f} ms{theirs / ours:8.1f} times", flush=True)
        figures["warm_ratio" if detector == "mtcnn" else "warm_ratio_haar"] = round(theirs / ours, 1)
    return figures


def folder(photos: list[Path], model: Path, work: Path, peer: Peer | None) -> dict[str, float]:
    """Pictures a second of a folder, and peak memory of that and of ten times as many."""
    runs = {}
    for number in (FEW, MANY):
        place = work / f"{number} pictures"
        place.mkdir()
        for i in range(number):
            photo = photos[i % min(FEW, len(photos))]
            (place / f"{i:05}{photo.suffix}").symlink_to(photo.absolute())
        runs[number] = ask(model, place, "--out", work / f"{number}.csv")
        per_second = number / runs[number].wall_s
        print(f"a folder of {number:,}\n  {'predict':<24}{per_second:8.1f} pictures/s", end="")
        print(f", peak {runs[number].peak_mb:.0f} MB", flush=True)
    figures = {
        "peak_mb": round(runs[FEW].peak_mb),
        "peak_growth_mb": round(runs[MANY].peak_mb - runs[FEW].peak_mb),
    }
    for detector, words in WORDS.items() if peer else ():
        _, asked = peer.ask(detector, photos[:OF_PEER])
        theirs = len(asked) / sum(wall for _, wall, _ in asked)
        ratio = FEW / runs[FEW].wall_s / theirs
        print(f"  {words:<24}{theirs:8.1f} pictures/s: {ratio:.1f} times less", flush=True)
        figures["folder_ratio" if detector == "mtcnn" else "folder_ratio_haar"] = round(ratio, 1)
    return figures


def bench(photos: list[Path], model: Path, python: str | None, work: Path) -> dict[str, Any]:
    peer = Peer(python, work / "stub") if python else None
    one = _photo_with_one_face(photos, model, work)
    return {
        **cold(one, model, peer),
        **warm(one, model, peer),
        **folder(photos, model, work, peer),
        **videos.rate_and_memory(partial(ask, model), work),
        **videos.agreement(Predictor(model)),
    }


def _photo_with_one_face(photos: list[Path], model: Path, work: Path) -> Path:
    """The first photo with one face, as a JPEG of SIZE."""
    predictor, file = Predictor(model), work / "one.jpg"
    for photo in photos:
        Image.open(photo).convert("RGB").resize(SIZE).save(file, quality=92)
        if [row.status for row in predictor.predict(file)] in (["ok"], ["uncertain"]):
            return file
    raise SystemExit("no photo has one face")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.predict",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="photos in class folders")
    parser.add_argument("--model", type=Path, default=MODEL, help="a model's folder (default: %(default)s)")
    parser.add_argument("--peer", metavar="PYTHON", help="the Python of an environment with `fer`")
    arguments = parser.parse_args()
    photos = sorted(file for file in arguments.folder.rglob("*") if file.suffix in (".jpg", ".png"))
    with tempfile.TemporaryDirectory() as work:
        print(json.dumps(bench(photos, arguments.model, arguments.peer, Path(work))))


if __name__ == "__main__":
    main()
