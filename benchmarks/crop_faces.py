"""Face detection compared with the `mtcnn` package, one photo at a time: CPU time, agreement, memory, and
re-runs.

python -m benchmarks.crop_faces FOLDER     # FOLDER: photos in class folders
"""

import argparse
import json
import multiprocessing
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.lib.detector_agreement import agreement
from benchmarks.stages import computed, dvc, measured
from fer_tasks.faces.detector import LANDMARKS, Faces, detect_faces, detect_files
from fer_tasks.storage.images import BadImage, decode_image, read_image
from testing.project_copy import change_params, copy_project

SIZES = {"0.13 MP": 130_000, "0.3 MP": 300_000}
CORES = 2
SHARD = 64  # pictures that a worker gets at a time
MAX_SIDE = 10_000  # the photos are compared at their own size


def photos(files: Iterable[Path], pixels: int) -> Iterator[np.ndarray]:
    """Yield the files' pictures, scaled to about this number of pixels."""
    for file in files:
        image = decode_image(file.read_bytes(), 2**40)
        scale = (pixels / (image.shape[0] * image.shape[1])) ** 0.5
        yield cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def package(images: Iterator[np.ndarray]) -> Iterator[Faces]:
    """Detect by the reference: `mtcnn.MTCNN().detect_faces`, one picture at a time, on one thread."""
    import tensorflow as tf
    from mtcnn import MTCNN

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    detector = MTCNN()
    for image in images:
        faces = detector.detect_faces(image)
        boxes = np.array([face["box"] for face in faces], float).reshape(-1, 4)[:, [1, 0, 3, 2]]
        points = [[face["keypoints"][name][::-1] for name in LANDMARKS] for face in faces]
        scores = np.array([face["confidence"] for face in faces], float)
        yield Faces(boxes, np.array(points, float).reshape(-1, 5, 2), scores)


DETECTORS: dict[str, Callable[[Iterator[np.ndarray]], Iterator[Faces]]] = {
    "package": package,
    "exact": partial(detect_faces, max_side=MAX_SIDE, mode="exact"),
    "fast": partial(detect_faces, max_side=MAX_SIDE, mode="fast"),
}


def timed(detector: str, files: Sequence[Path], pixels: int) -> tuple[float, float, list[Faces]]:
    """Detect in one process: CPU seconds, wall seconds and the faces. All pictures are decoded before."""
    images = list(photos(files, pixels))
    list(DETECTORS[detector](iter(images[:2])))  # compiles what is compiled at first use
    start, cpu = time.perf_counter(), time.process_time()
    detected = list(DETECTORS[detector](iter(images)))
    return time.process_time() - cpu, time.perf_counter() - start, detected


def on_all_cores(detector: str, files: Sequence[Path], pixels: int) -> tuple[float, float, list[Faces]]:
    """Detect with a process per core: CPU ms per picture, pictures per second, and the faces in the order of
    the files."""
    with ProcessPoolExecutor(CORES, multiprocessing.get_context("spawn")) as pool:
        parts = list(
            pool.map(timed, [detector] * CORES, [files[i::CORES] for i in range(CORES)], [pixels] * CORES)
        )
    detected: list[Any] = [None] * len(files)
    for i, (_, _, faces) in enumerate(parts):
        detected[i::CORES] = faces
    return (
        1000 * sum(cpu for cpu, _, _ in parts) / len(files),
        len(files) / max(wall for _, wall, _ in parts),
        detected,
    )


def peak_mb(mode: str, files: Sequence[Path], n: int) -> int:
    """The peak resident MB of a worker of the stage on n pictures; the files are repeated as needed."""
    for start in range(0, n, SHARD):
        shard = {files[i % len(files)]: (640, 640) for i in range(start, min(start + SHARD, n))}
        detect_files(read_image, shard, 640, mode)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def in_a_worker(function: Callable, *arguments: Any) -> Any:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def cost_of_size(size: tuple[int, int], image: np.ndarray, path: Path) -> float:
    """CPU ms from a JPEG file of this size (height, width) to its faces, as in the stage."""
    cv2.imwrite(str(path), cv2.resize(image, size[::-1], interpolation=cv2.INTER_CUBIC)[:, :, ::-1])
    seconds = []
    for _ in range(6):
        cpu = time.process_time()
        detect_files(read_image, {path: size}, 640, "fast")
        seconds.append(time.process_time() - cpu)
    return 1000 * float(np.median(seconds[1:]))


def compare(files: Sequence[Path]) -> dict[str, Any]:
    """Compare the package with both modes, at both sizes; print a table."""
    figures: dict[str, Any] = {}
    heads = "".join(f"{name:>9}" for name in ("count", "boxes", "points px", "main"))
    print(f"{'':22}{'CPU ms':>8}{'pictures/s':>12}{'ratio':>7}{heads}")
    for size, pixels in SIZES.items():
        reference_ms, speed, reference = on_all_cores("package", files, pixels)
        print(f"{size + ', package':22}{reference_ms:8.1f}{speed:12.1f}")
        for mode in ("exact", "fast"):
            ms, speed, detected = on_all_cores(mode, files, pixels)
            agreed = agreement(reference, detected)
            columns = "".join(f"{value:9.3f}" for value in agreed.values())
            ratio = f"{reference_ms / ms:7.1f}"
            print(f"{f'{size}, {mode}':22}{ms:8.1f}{speed:12.1f}{ratio}{columns}", flush=True)
            suffix = "" if pixels < 200_000 else "_large"
            figures |= {
                f"{mode}_ratio{suffix}": round(reference_ms / ms, 2),
                f"{mode}_ms{suffix}": round(ms, 2),
            }
            if not suffix:
                figures |= _of_interest(mode, agreed)
    return figures


def _of_interest(mode: str, agreed: dict[str, float]) -> dict[str, float]:
    if mode == "fast":
        return {"same_main_face_fast": round(agreed["same_main_face"], 4)}
    return {name: round(agreed[name], 4) for name in ("same_count", "matched_boxes", "landmarks_px")}


def memory_and_size(files: Sequence[Path]) -> dict[str, Any]:
    """The peak memory of a worker on few and on many pictures, and the CPU time of a large picture."""
    few, many = (max(in_a_worker(peak_mb, mode, files, n) for mode in ("exact", "fast")) for n in (500, 5000))
    print(f"a worker's peak: {few} MB on 500 pictures, {many} MB on 5,000")
    image = next(photos(files, 24_000_000))
    with tempfile.TemporaryDirectory() as folder:
        small, large = (
            cost_of_size(size, image, Path(folder, "a.jpg")) for size in ((480, 640), (4000, 6000))
        )
    print(
        f"6000 x 4000 px: {large:.1f} ms, {large / small:.1f} times a picture of 640 x 480 ({small:.1f} ms)"
    )
    return {
        "peak_mb_worker": max(few, many),
        "peak_mb_500": few,
        "large_picture_ratio": round(large / small, 2),
    }


def rerun(folder: Path) -> dict[str, Any]:
    """Run the stage by `dvc repro`, from files to crops, and again with 1 % of the pictures changed."""
    with tempfile.TemporaryDirectory() as temporary:
        project = copy_project(Path(temporary))
        source = shutil.copytree(folder, project / "photos")
        change_params(project, download={"source": "photos"})
        measured(dvc("repro", "--no-run-cache", "download"), project)
        first = measured(dvc("repro", "--no-run-cache", "--single-item", "crop_faces"), project)
        changed = pictures(source)[::100]
        for file in changed:
            file.write_bytes(file.read_bytes() + b"\0")  # other bytes: another id
        measured(dvc("repro", "--no-run-cache", "download"), project)
        again = measured(dvc("repro", "--no-run-cache", "--single-item", "crop_faces"), project)
    share = computed(again["output"], "detect") / computed(first["output"], "detect")
    print(
        f"the stage: {first['wall_s']} s; with {len(changed)} pictures changed: {again['wall_s']} s, "
        f"{100 * share:.1f} % of the detections"
    )
    return {"rerun_share": round(share, 4), "stage_s": first["wall_s"], "rerun_s": again["wall_s"]}


def pictures(folder: Path) -> list[Path]:
    """The files of a folder that can be decoded."""
    files = []
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            decode_image(file.read_bytes(), 2**40, enough=8)
            files.append(file)
        except BadImage:
            pass
    return files


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.crop_faces", description=__doc__)
    parser.add_argument("folder", type=Path, help="photos in class folders")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="compare on every Nth picture only")
    arguments = parser.parse_args()
    files = pictures(arguments.folder)[:: arguments.every]
    print(f"{len(files)} pictures of {arguments.folder}, {CORES} processes of one thread")
    figures = compare(files)
    if arguments.every == 1:
        figures |= memory_and_size(files) | rerun(arguments.folder)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
