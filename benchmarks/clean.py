"""Cleaning's rules on planted faults, compared with `cleanvision`; near-copies among 30,000 faces; leaks.

python -m benchmarks.clean FOLDER                   # FOLDER: photos in class folders
python -m benchmarks.clean FOLDER --many FER2013    # … and near-copies among its faces, a folder or a zip

Faults are planted on every face. `threshold` is that of params.yaml, for cleanvision its own. `chosen_…` is
chosen on one half of the photos, by their ids: there a rule that rejects may doubt 1 % of the unchanged
faces, one that asks 5 %. It is empty if no threshold doubts so many. All figures are for the other half.
`false` is an upper bound, since some unchanged faces have the fault already. `precision` assumes as many
faulty faces as others.

Without --many the 30,000 faces are blends of two of FOLDER's. Takes 10 to 15 minutes on two cores.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from benchmarks.lib import cleanvision_reference, copies, many_faces, planted_faults
from benchmarks.lib.faces import CutFace, cut_faces, detect_again, listed
from benchmarks.lib.rule_scores import our, score
from fer_tasks.cleaning.covers import NETWORK, align, covered
from fer_tasks.faces.signals import light_signals
from fer_tasks.settings import load_settings

OF_CLEANVISION = {"blurred": "blurry", "dark": "dark", "bright": "light", "low_contrast": "low_information"}
Row = dict[str, Any]


def on_light(faces: list[CutFace], first: np.ndarray) -> list[Row]:
    """Blur, light and drawings: our rules, and cleanvision's if it has one. `first`: (n,) bool, the faces of
    the first half."""
    images = [face.image for face in faces]
    ours = pd.DataFrame([light_signals(image) for image in images])
    theirs = cleanvision_reference.scores(images, OF_CLEANVISION.values())
    rng, rows = np.random.default_rng(2021), []
    for fault, plant in (planted_faults.LIGHT | planted_faults.DRAWINGS).items():
        faulty = [plant(image, rng) for image, in_first in zip(images, first, strict=True) if not in_first]
        judge, measure = our(planted_faults.RULE_OF[fault])
        measured = np.array([light_signals(image)[measure] for image in faulty])
        rows.append({"fault": fault, **score(judge, ours[measure].to_numpy(), first, measured)})
        if issue := OF_CLEANVISION.get(judge.name):
            other = cleanvision_reference.judge(issue, judge.allowed)
            measured = cleanvision_reference.scores(faulty, [issue])[issue].to_numpy()
            rows.append({"fault": fault, **score(other, theirs[issue].to_numpy(), first, measured)})
    return rows


def on_covers(faces: list[CutFace], first: np.ndarray) -> list[Row]:
    """Covered eyes and mouths, with covers that the network has not learnt from. Landmarks are those of the
    open face."""
    onnx = NETWORK.read_bytes()
    unchanged = covered(onnx, np.stack([align(face.image, face.landmarks) for face in faces]))
    rng, judge, rows = np.random.default_rng(2021), our("covered")[0], []
    second = [face for face, in_first in zip(faces, first, strict=True) if not in_first]
    for name, plant in planted_faults.COVERS.items():
        others = [second[k].image for k in rng.permutation(len(second))]
        images = [
            align(plant(face.image, face.landmarks, other, rng), face.landmarks)
            for face, other in zip(second, others, strict=True)
        ]
        rows.append({"fault": name, **score(judge, unchanged, first, covered(onnx, np.stack(images)))})
    return rows


def turned(photo: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rotate a photo by 45 to 80 degrees to either side, without cutting off any of it."""
    height, width = photo.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), rng.choice([-1, 1]) * rng.uniform(45, 80), 1)
    across, down = abs(turn[0, 0]), abs(turn[0, 1])
    size = (round(width * across + height * down), round(width * down + height * across))
    turn[:, 2] += (np.array(size) - (width, height)) / 2
    return cv2.warpAffine(photo, turn, size, borderMode=cv2.BORDER_REPLICATE)


def on_turned(faces: list[CutFace], first: np.ndarray) -> list[Row]:
    """Rolled faces: detect faces again in turned photos; `lost` is the share of photos without a face."""
    second = [face for face, in_first in zip(faces, first, strict=True) if not in_first]
    with tempfile.TemporaryDirectory() as folder:
        detected = [face for face in detect_again(second, turned, Path(folder)) if face]
    judge, measure = our("rolled")
    unchanged = np.abs([face.columns[measure] for face in faces])
    faulty = np.abs([face.columns[measure] for face in detected])
    lost = 1 - len(detected) / len(second)
    return [{"fault": "rolled", **score(judge, unchanged, first, faulty), "lost": lost}]


def show(title: str, rows: list[Row]) -> None:
    print(f"\n{title}\n{pd.DataFrame(rows).round(3).to_string(index=False, na_rep='')}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.clean",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="photos in class folders")
    parser.add_argument("--many", type=Path, metavar="FER2013", help="a folder or a zip of many faces")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    threadpool_limits(1)
    photos = listed(arguments.folder)
    faces = cut_faces(map(Path, photos["path"]), load_settings().crop_faces.size)
    first = np.array([int(face.image_id, 16) % 2 == 0 for face in faces])
    print(f"{len(faces)} faces of {len(photos)} files; thresholds chosen on {first.sum()}")
    figures: dict[str, Any] = {"faces": len(faces)}
    for title, bench in {"light and drawings": on_light, "covers": on_covers, "rolled": on_turned}.items():
        figures[title] = bench(faces, first)
        show(title, figures[title])
    figures["copies"] = copies.on_copies(faces, first)
    show("near-copies", figures["copies"])
    figures |= many_faces.bench(photos, faces, arguments.many)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
