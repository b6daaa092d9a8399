"""How well the quick model finds wrong labels: labels flipped on purpose, and labels that FER+'s taggers
outvote.

python -m benchmarks.label_doubts FOLDER                       # photos in class folders: flipped labels
python -m benchmarks.label_doubts FER2013 VOTES_CSV            # … and outvoted ones, of faces as files
python -m benchmarks.label_doubts FER2013 VOTES_CSV --faces N  # … of N of its training faces, not 12,000

FER2013 is a folder or a zip of class folders whose pictures are faces already; in FOLDER's photos faces are
detected. VOTES_CSV has the columns file and FER+'s ten tags. A label is outvoted if another of the seven
expressions has more votes. `at k` is the share of wrong labels among the k most doubted faces, `chance` that
among all faces. Test faces (PrivateTest) are not used.

The model is the stage's: logistic regression on an RBF kernel (Nystroem, 1,500 landmarks) of 300 principal
components of HOGs, out of fold.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from benchmarks.lib.faces import cut_faces, listed
from fer_tasks.cleaning.hog import hog_of
from fer_tasks.cleaning.label_doubts import label_doubt, out_of_fold
from fer_tasks.labels import EXPRESSIONS, VOTES
from fer_tasks.settings import load_settings
from fer_tasks.sources import fer2013
from fer_tasks.sources.kaggle.unzip import unpack
from fer_tasks.storage.images import perceptual_hash, read_image

FLIPPED = (0.05, 0.1)  # shares of all labels
MOST_DOUBTED = (100, 500, 1000)


def precision(name: str, labels: np.ndarray, wrong: np.ndarray, probabilities: np.ndarray) -> dict[str, Any]:
    """How well the doubts about labels, (n,) int, find those that are wrong, (n,) bool: a row of the table.

    `probabilities`: (n, 7), of `out_of_fold`.
    """
    doubt = label_doubt(labels, probabilities)
    order = np.argsort(-doubt)
    at = {k: wrong[order[:k]].mean() for k in (*MOST_DOUBTED, int(wrong.sum())) if k < len(labels)}
    limit = load_settings().clean.rules.max_label_doubt
    return {
        "wrong labels": name,
        "n": int(wrong.sum()),
        "chance": wrong.mean(),
        **{f"at {k}" if k in MOST_DOUBTED else "at n": value for k, value in at.items()},
        "AUROC": roc_auc_score(wrong, doubt),
        "by params.yaml: doubted": int((doubt > limit).sum()),
        "precision": wrong[doubt > limit].mean(),
        "recall": (doubt > limit)[wrong].mean(),
        "right label suggested": np.nan,
    }


def on_flipped(hogs: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> list[dict[str, Any]]:
    """Flip a share of the labels to another expression, drawn uniformly. Labels that were wrong before do not
    count as wrong."""
    rng, rows = np.random.default_rng(2021), []
    for share in FLIPPED:
        wrong = np.zeros(len(labels), bool)
        wrong[rng.permutation(len(labels))[: round(share * len(labels))]] = True
        shift = rng.integers(1, len(EXPRESSIONS), len(labels))
        given = np.where(wrong, (labels + shift) % len(EXPRESSIONS), labels)
        probabilities = out_of_fold(hogs, given, groups)
        row = precision(f"{share:.0%} flipped", given, wrong, probabilities)
        rows.append({**row, "right label suggested": (probabilities.argmax(axis=1) == labels)[wrong].mean()})
    return rows


def on_outvoted(
    hogs: np.ndarray, labels: np.ndarray, groups: np.ndarray, votes: np.ndarray
) -> dict[str, Any]:
    """Compare the unchanged labels with people's votes, (n, 7)."""
    probabilities = out_of_fold(hogs, labels, groups)
    wrong = votes.max(axis=1) > votes[np.arange(len(labels)), labels]
    suggested = probabilities.argmax(axis=1) == votes.argmax(axis=1)
    row = precision("outvoted", labels, wrong, probabilities)
    return {**row, "right label suggested": suggested[wrong].mean()}


def faces_of(source: Path, votes: Path | None, n: int, folder: Path) -> tuple[pd.DataFrame, np.ndarray]:
    """A table of faces, with label, copies (a hash that copies share) and any votes; and the faces' HOGs."""
    if votes is None:
        table = listed(source)
        faces = cut_faces(map(Path, table["path"]), load_settings().crop_faces.size)
        table = table.set_index("path").loc[[str(face.photo) for face in faces]].reset_index()
        return table.assign(copies=[face.photo_phash for face in faces]), _hogs(face.image for face in faces)
    if source.suffix == ".zip":
        unpack(source, folder / "unpacked", max_bytes=2**33)
        source = folder / "unpacked"
    table = fer2013.add_votes(listed(source), [votes])
    table = table[(table["source_split"] == "train") & table[VOTES[0]].notna()]
    table = table.sample(min(n, len(table)), random_state=2021).sort_index().reset_index(drop=True)
    images = [read_image(Path(path)) for path in table["path"]]
    return table.assign(copies=list(map(perceptual_hash, images))), _hogs(images)


def _hogs(images: Any) -> np.ndarray:
    return np.stack([hog_of(image) for image in images])


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.label_doubts",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", type=Path, help="photos in class folders, or FER2013's faces")
    parser.add_argument("votes", type=Path, nargs="?", help="FER+'s votes for FER2013")
    parser.add_argument("--faces", type=int, default=12_000, metavar="N", help="of FER2013 (default 12,000)")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    threadpool_limits(1)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        faces, hogs = faces_of(arguments.source, arguments.votes, arguments.faces, Path(folder))
    labels = faces["label"].map(EXPRESSIONS.index).to_numpy()
    groups = pd.factorize(faces["copies"])[0]
    print(f"{len(faces)} faces, HOGs after {time.perf_counter() - start:.0f} s")
    rows = []
    if arguments.votes:
        rows.append(on_outvoted(hogs, labels, groups, faces[VOTES[: len(EXPRESSIONS)]].to_numpy()))
    rows += on_flipped(hogs, labels, groups)
    seconds = round(time.perf_counter() - start)
    print(pd.DataFrame(rows).round(3).T.to_string(header=False))
    print(json.dumps({"faces": len(faces), "seconds": seconds, "rows": rows}))


if __name__ == "__main__":
    main()
