"""Exports beside the model: the same answers, size, milliseconds a face; and the page in a browser.

python -m benchmarks.export FOLDER [--model DIR] [--photos N] [--onnxruntime-web PATH]     # FOLDER: photos

Each export is run on the main faces of up to 100 photos. The page runs in a headless Chromium without a
network, on N photos: `same_main_face` is the share of those with a face in which its largest face overlaps
that of `monday-fer predict` by more than half (intersection over union); the differences are of these.
`fps` and `frame_ms` are of frames of 640 x 480 px with one face, one after the other. Of times the fastest
tenth is told: other work on the machine only adds to them.
"""

import argparse
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from skimage import data

from apps.export.exporting import export
from apps.export.parity import Parity
from apps.export.reference import Reference, read_reference
from apps.export.source import Source, read_source
from apps.export.targets import TARGETS
from apps.predict.predictor import Predictor, default_model
from apps.predict.tables import Row
from benchmarks.lib.overlap import overlap
from fer_tasks.labels import EXPRESSIONS
from testing.browser import browser
from testing.exported_page import NO_NETWORK, ask_page, open_page, plain_server

FRAMES, WARM = 40, 5
FAST = 0.1  # the quantile of times that is told
SIZE = (640, 480)


def exports(source: Source, reference: Reference, folder: Path, runtime: Path | None) -> dict[str, Any]:
    """Each target's parity, size and time; the web page stays in `folder`."""
    parities: dict[str, Parity] = {}
    figures: dict[str, Any] = {"mb": {}}
    for name, target in TARGETS.items():
        parities[name] = export(name, source, reference, folder / name, runtime)
        _, ms = target.run(folder / name, reference)
        figures[f"ms_{name}"] = round(float(np.quantile(ms, FAST)), 2)
        size = sum(file.stat().st_size for file in (folder / name).rglob("*") if file.is_file())
        figures["mb"][name] = round(size / 1e6, 2)
        print(
            f"{name:<10}{figures['mb'][name]:8.2f} MB{figures[f'ms_{name}']:8.2f} ms a face  {parities[name]}"
        )
    figures["faces"] = len(reference.crops)
    figures["max_difference"] = max(one.max_difference for one in parities.values())
    figures["same_answers"] = min(one.same_answers / one.faces for one in parities.values())
    return figures


def page(folder: Path, model: Path, photos: list[Path]) -> dict[str, Any]:
    """The page's faces and answers beside the command's, and its speed."""
    predictor = Predictor(model)
    same, apart, answers = [], [], []
    with plain_server(folder) as url, browser(switches=NO_NETWORK) as driver:
        open_page(driver, url)
        for photo in photos:
            ours, theirs = predictor.predict(photo)[0], ask_page(driver, photo.read_bytes())
            if ours.expression is None:
                continue
            main = theirs.get("faces", [])[:1]
            same.append(bool(main) and _overlap(ours, main[0]) > 0.5)
            if same[-1]:
                apart.append(max(abs(getattr(ours, name) - main[0][name]) for name in EXPRESSIONS))
                answers.append(ours.expression == main[0]["expression"])
        ms = [ask_page(driver, _frame())["ms"] for _ in range(WARM + FRAMES)][WARM:]
    fast = float(np.quantile(ms, FAST))
    return {
        "photos_with_a_face": len(same),
        "same_main_face": round(float(np.mean(same)), 4),
        "web_same_answers": round(float(np.mean(answers)), 4),
        "web_difference_median": round(float(np.median(apart)), 5),
        "web_difference_95": round(float(np.quantile(apart, 0.95)), 4),
        "web_difference_max": round(max(apart), 4),
        "frame_ms": round(fast, 1),
        "fps": round(1000 / fast, 1),
    }


def _overlap(row: Row, face: dict[str, Any]) -> float:
    return overlap((row.x, row.y, row.width, row.height), [face[k] for k in ("x", "y", "width", "height")])


def _frame() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(data.astronaut()).resize(SIZE).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.export",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="photos with faces")
    parser.add_argument("--model", type=Path, help="a model's folder (default: models/best, or pretrained)")
    parser.add_argument("--photos", type=int, default=100, help="for the page (default: %(default)s)")
    parser.add_argument("--onnxruntime-web", type=Path, help="as for `monday-fer export`")
    arguments = parser.parse_args()
    photos = sorted(file for file in arguments.folder.rglob("*") if file.suffix in (".jpg", ".png"))
    photos = photos[:: max(1, len(photos) // arguments.photos)][: arguments.photos]
    source = read_source(arguments.model or default_model())
    with tempfile.TemporaryDirectory() as work:
        reference = read_reference(source.folder, arguments.folder)
        figures = exports(source, reference, Path(work), arguments.onnxruntime_web)
        figures |= page(Path(work) / "web", source.folder, photos)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
