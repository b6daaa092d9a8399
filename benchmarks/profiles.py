"""What faces that are turned to the side are worth, which `clean.rules.max_yaw` is chosen by.

python -m benchmarks.profiles FOLDER                # photos in class folders
python -m benchmarks.profiles FER2013 VOTES_CSV     # a folder or zip of class folders, and the votes of FER+

By how far faces are turned (the rule's measure: the distance of the nose from the eyes' centre, in half eye
distances): how often the network in pretrained/ is right on them, and how often a logistic regression is, on
what that network sees, which has learnt from other faces that are turned up to a limit, by five folds and
SEEDS. Of FER2013 the public test pictures are taken, by what most of FER+'s taggers see: the network has not
learnt from them, and the private ones choose nothing.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold
from threadpoolctl import threadpool_limits

from benchmarks.lib.faces import cut_faces, listed
from benchmarks.lib.seen import seen, voted_faces
from fer_tasks.cleaning.label_doubts import MODELS
from fer_tasks.evaluation.scores import accuracy_interval
from fer_tasks.faces.choose import TIMES, enlarged, main_face
from fer_tasks.faces.detector import detect_faces
from fer_tasks.labels import EXPRESSIONS, VOTES
from fer_tasks.settings import load_settings

ENDS = (0.0, 0.3, 0.6, 0.9, 1.2, np.inf)  # of the ranges of the measure
LIMITS = (0.6, 0.9, 1.2)  # values of max_yaw
FOLDS, SEEDS = 5, (0, 1, 2)
BORDER = 48  # px; enlarged pictures of faces are mirrored beyond their border


def of_photos(photos: Path) -> tuple[pd.DataFrame, np.ndarray]:
    """The main faces of photos in class folders: a table with label (class, int), copies and yaw; and what
    the network sees in them, (n, d)."""
    table = listed(photos).set_index("path")
    faces = cut_faces(map(Path, table.index), load_settings().crop_faces.size)
    rows = [
        (table.loc[str(face.photo), "label"], face.photo_phash, abs(face.columns["yaw"])) for face in faces
    ]
    found = pd.DataFrame(rows, columns=["label", "copies", "yaw"])
    return found.assign(label=found["label"].map(EXPRESSIONS.index)), seen([f.image for f in faces], True)


def of_fer2013(source: Path, votes: Path) -> tuple[pd.DataFrame, np.ndarray]:
    """The same for FER2013's public test pictures in which MTCNN finds a face, where most taggers see one of
    the seven expressions."""
    with tempfile.TemporaryDirectory() as work:
        table, images = voted_faces(source, votes, "val", Path(work))
    large = (cv2.copyMakeBorder(enlarged(image), *(BORDER,) * 4, cv2.BORDER_REFLECT) for image in images)
    shape, section = (TIMES * 48 + 2 * BORDER,) * 2, load_settings().crop_faces
    faces = [
        main_face(found, shape, section.min_score, section.min_face)
        for found in detect_faces(large, max(shape), "fast")
    ]
    table = table.assign(yaw=[abs(face.get("yaw", np.nan)) for face in faces])
    shares = table[VOTES].to_numpy()
    table = table.assign(label=shares[:, :-1].argmax(axis=1))
    good = table["yaw"].notna().to_numpy() & (shares[:, :-1].max(axis=1) > shares[:, -1])
    return table[good].reset_index(drop=True), seen([images[i] for i in np.flatnonzero(good)], False)


def probed(faces: pd.DataFrame, features: np.ndarray, limit: float) -> np.ndarray:
    """How often each face is answered rightly by regressions that have learnt from faces turned up to
    `limit`, and neither from it nor from its copies: (n,) float, 0..1."""
    labels, yaw = faces["label"].to_numpy(), faces["yaw"].to_numpy()
    groups, right = pd.factorize(faces["copies"])[0], np.zeros(len(faces))
    for seed in SEEDS:
        folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
        for train, test in folds.split(features, labels, groups):
            learnt = train[yaw[train] <= limit]
            probe = MODELS["pretrained"](features[learnt]).fit(features[learnt], labels[learnt])
            right[test] += probe.predict(features[test]) == labels[test]
    return right / len(SEEDS)


def table_of(faces: pd.DataFrame, features: np.ndarray) -> list[dict[str, Any]]:
    """A row for each range of the measure."""
    answers = features[:, -len(EXPRESSIONS) :].argmax(axis=1) == faces["label"]
    by_limit = {limit: probed(faces, features, limit) for limit in LIMITS}
    rows = []
    for low, high in zip(ENDS, ENDS[1:], strict=False):
        those = ((faces["yaw"] >= low) & (faces["yaw"] < high)).to_numpy()
        if not those.any():
            continue
        start, end = accuracy_interval(answers[those])
        row = {"yaw": f"{low:g} to {high:g}", "faces": int(those.sum())}
        row |= {"network": answers[those].mean(), "network_low": start, "network_high": end}
        rows.append(row | {f"probe {limit:g}": right[those].mean() for limit, right in by_limit.items()})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.profiles",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", type=Path, help="photos in class folders, or FER2013's faces")
    parser.add_argument("votes", type=Path, nargs="?", help="FER+'s votes for FER2013")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    threadpool_limits(1)
    source, votes = arguments.source, arguments.votes
    faces, features = of_fer2013(source, votes) if votes else of_photos(source)
    rows = table_of(faces, features)
    print(pd.DataFrame(rows).round(3).to_string(index=False))
    print(json.dumps({"faces": len(faces), "rows": rows}))


if __name__ == "__main__":
    main()
