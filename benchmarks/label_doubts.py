"""How well the quick models find wrong labels: labels flipped on purpose, and labels that FER+'s taggers
outvote.

python -m benchmarks.label_doubts FOLDER                  # photos in class folders: flipped labels
python -m benchmarks.label_doubts FER2013 VOTES_CSV       # … and outvoted ones, of faces as files

FER2013 is a folder or a zip of class folders whose pictures are faces already; of these only the private
test pictures are taken, since the network of pretrained/ has learnt from the others. In FOLDER's photos faces
are detected. VOTES_CSV has the columns file and FER+'s ten tags. A label is outvoted if another of the seven
expressions has more votes. `first tenth` is the share of wrong labels in the tenth of the faces that is
doubted most, `chance` that among all faces. Labels are flipped DRAWS times, and figures are means.

Both values of clean.label_model are measured, on the same faces and the same labels.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from benchmarks.lib.faces import cut_faces, listed
from benchmarks.lib.seen import seen, voted_faces
from fer_tasks.cleaning.hog import hog_of
from fer_tasks.cleaning.label_doubts import label_doubt, out_of_fold
from fer_tasks.labels import EXPRESSIONS, VOTES
from fer_tasks.settings import load_settings

FLIPPED = (0.05, 0.1)  # shares of all labels
DRAWS = 5


def precision(labels: np.ndarray, wrong: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """How well the doubts about labels, (n,) int, find those that are wrong, (n,) bool.

    `probabilities`: (n, 7), of `out_of_fold`.
    """
    doubt = label_doubt(labels, probabilities)
    order = np.argsort(-doubt, kind="stable")
    doubted = doubt > load_settings().clean.rules.max_label_doubt
    return {
        "n": wrong.sum(),
        "chance": wrong.mean(),
        "first tenth": wrong[order[: len(labels) // 10]].mean(),
        "first 100": wrong[order[:100]].mean(),
        "AUROC": roc_auc_score(wrong, doubt),
        "by params.yaml: doubted": doubted.sum(),
        "precision": wrong[doubted].mean(),
        "recall": doubted[wrong].mean(),
    }


def on_flipped(
    label_model: str, features: np.ndarray, labels: np.ndarray, groups: np.ndarray, share: float
) -> dict[str, float]:
    """Flip a share of the labels to another expression, drawn uniformly: the means over DRAWS. Labels that
    were wrong before do not count as wrong."""
    rng, rows = np.random.default_rng(2021), []
    for _ in range(DRAWS):
        wrong = np.zeros(len(labels), bool)
        wrong[rng.permutation(len(labels))[: round(share * len(labels))]] = True
        shift = rng.integers(1, len(EXPRESSIONS), len(labels))
        given = np.where(wrong, (labels + shift) % len(EXPRESSIONS), labels)
        probabilities = out_of_fold(features, given, groups, label_model)
        suggested = (probabilities.argmax(axis=1) == labels)[wrong].mean()
        rows.append({**precision(given, wrong, probabilities), "right label suggested": suggested})
    return pd.DataFrame(rows).mean().to_dict()


def on_outvoted(
    label_model: str, features: np.ndarray, labels: np.ndarray, groups: np.ndarray, votes: np.ndarray
) -> dict[str, float]:
    """Compare the unchanged labels with people's votes, (n, 7)."""
    probabilities = out_of_fold(features, labels, groups, label_model)
    wrong = votes.max(axis=1) > votes[np.arange(len(labels)), labels]
    suggested = (probabilities.argmax(axis=1) == votes.argmax(axis=1))[wrong].mean()
    return {**precision(labels, wrong, probabilities), "right label suggested": suggested}


def faces_of(source: Path, votes: Path | None, folder: Path) -> tuple[pd.DataFrame, Sequence[np.ndarray]]:
    """A table of faces, with label, copies (a hash that copies share) and any votes; and their crops."""
    if votes is None:
        table = listed(source)
        faces = cut_faces(map(Path, table["path"]), load_settings().crop_faces.size)
        table = table.set_index("path").loc[[str(face.photo) for face in faces]].reset_index()
        return table.assign(copies=[face.photo_phash for face in faces]), [face.image for face in faces]
    return voted_faces(source, votes, "test", folder)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.label_doubts",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", type=Path, help="photos in class folders, or FER2013's faces")
    parser.add_argument("votes", type=Path, nargs="?", help="FER+'s votes for FER2013")
    arguments = parser.parse_args()
    threadpool_limits(1)
    with tempfile.TemporaryDirectory() as folder:
        faces, images = faces_of(arguments.source, arguments.votes, Path(folder))
    labels = faces["label"].map(EXPRESSIONS.index).to_numpy()
    groups = pd.factorize(faces["copies"])[0]
    rows: list[dict[str, Any]] = []
    for model in ("pretrained", "hog"):
        start = time.process_time()
        hog = model == "hog"
        features = np.stack(list(map(hog_of, images))) if hog else seen(images, arguments.votes is None)
        given = (model, features, labels, groups)
        known = {"label_model": model, "CPU ms a face": 1000 * (time.process_time() - start) / len(faces)}
        if arguments.votes:
            votes = faces[VOTES[: len(EXPRESSIONS)]].to_numpy()
            rows.append({**known, "wrong labels": "outvoted", **on_outvoted(*given, votes)})
        for share in FLIPPED:
            flipped = on_flipped(*given, share)
            rows.append({**known, "wrong labels": f"{share:.0%} flipped", **flipped})
    print(pd.DataFrame(rows).round(3).T.to_string(header=False))
    network = next(row for row in rows if row["wrong labels"] == f"{max(FLIPPED):.0%} flipped")
    print(
        json.dumps(
            {"faces": len(faces), "doubt_precision": network["first tenth"], "rows": rows}, default=float
        )
    )


if __name__ == "__main__":
    main()
