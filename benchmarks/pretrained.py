"""The pretrained network on faces that it has not learnt from: as it is, at other crops, as a beginning for
small sets, and beside other programs' networks.

python -m benchmarks.pretrained FER2013 VOTES_CSV PHOTOS
    [--model DIR] [--peers DIR] [--curve FILE.png] [--faces N]

FER2013 is a folder or a zip of class folders, VOTES_CSV has the columns file and FER+'s ten tags, PHOTOS are
web photos in class folders. Measured on

- FER2013's private test split, by its own labels and by what most of FER+'s ten taggers see: the 3,492
  pictures for which one of the seven expressions has more votes than each other tag. The pictures are faces
  already. For other crops they are cut about the face that MTCNN finds in them, and mirrored beyond their
  border.
- the main faces that `crop_faces` finds in PHOTOS, by their labels, right or wrong.

Answers are those of `monday-fer predict`. A crop is told by its side, of that by crop_faces.margin.
`crop_spread` is by how many points accuracy by FER+ differs between crops from 0.7 to 1.1, `crop_spread_web`
that on PHOTOS. grids/small.yaml begins from pretrained/, learns from 330 faces of PHOTOS and is tested by
five folds; near-copies are kept together.

Peers (--peers; benchmarks/lib/peers.py says how to install them) are shown the same faces, and count at the
crop at which they are right most often here: that favours them.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from apps.predict.predictor import PRETRAINED, Predictor
from benchmarks import covers
from benchmarks.label_doubts import on_flipped
from benchmarks.lib import crops
from benchmarks.lib.copies import nearest
from benchmarks.lib.crops import CROPS, Shown
from benchmarks.lib.faces import cut_faces, listed
from benchmarks.lib.fer2013_test import NONE, private_test
from benchmarks.lib.peers import SIDE, peers
from benchmarks.lib.seen import seen
from fer_tasks.cleaning.hog import hog_of
from fer_tasks.evaluation.calibration import balanced
from fer_tasks.evaluation.scores import accuracy_interval, expected_calibration_error, per_class
from fer_tasks.faces.choose import as_face
from fer_tasks.labels import EXPRESSIONS
from fer_tasks.settings import load_grid, load_settings
from fer_tasks.storage.images import read_image
from flows.engine.own_process import call_in_own_process

FEW = 330  # faces of a small set
FLIPPED = 0.1  # share of labels
OWN, BY_FER_PLUS, WEB = "FER2013, own labels", "FER2013, FER+", "web photos"
Judged = dict[str, tuple[np.ndarray, np.ndarray]]  # by the name of faces: classes (n,) int, answers (n, 7)


def scored(y_true: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """A row of a table: accuracy with its 95 % interval, mean recall, calibration error."""
    low, high = accuracy_interval(probabilities.argmax(axis=1) == y_true)
    return {
        "faces": len(y_true),
        "accuracy": float((probabilities.argmax(axis=1) == y_true).mean()),
        "low": low,
        "high": high,
        "mean recall": float(per_class(y_true, probabilities)["recall"].mean()),
        "ECE": expected_calibration_error(y_true, probabilities),
    }


def show(title: str, table: pd.DataFrame) -> None:
    print(f"\n{title}\n{table.round(3).to_string(na_rep='')}", flush=True)


def zero_shot(judged: Judged, prior: list[float]) -> dict[str, Any]:
    """Show what the network achieves as it is, and with every expression alike."""
    of = {f"{name}, training": answered for name, answered in judged.items()}
    of |= {f"{name}, balanced": (y, balanced(answers, prior)) for name, (y, answers) in judged.items()}
    rows = {name: scored(*answered) for name, answered in of.items()}
    recall = {name: per_class(*answered).set_index("expression")["recall"] for name, answered in of.items()}
    show("zero-shot", pd.DataFrame(rows).T)
    show("recall", pd.DataFrame(recall).T)
    return {
        "ferplus_accuracy": rows[f"{BY_FER_PLUS}, training"]["accuracy"],
        "fer2013_accuracy": rows[f"{OWN}, training"]["accuracy"],
        "web_accuracy": rows[f"{WEB}, training"]["accuracy"],
        "web_mean_class": rows[f"{WEB}, training"]["mean recall"],
        "ece": rows[f"{BY_FER_PLUS}, training"]["ECE"],
        "zero_shot": rows,
    }


def over_crops(
    model: Path, faces: dict[str, tuple[np.ndarray, list[Shown]]], curve: Path | None, work: Path
) -> dict[str, Any]:
    """Accuracy against the crop, of classes (n,) int and faces by their name."""
    predictors = [crops.with_margin(model, crops.margin_of(crop), work / f"{crop}") for crop in CROPS]
    accuracies = {
        name: (crops.answers(predictors, shown).argmax(axis=2) == y_true).mean(axis=1)
        for name, (y_true, shown) in faces.items()
    }
    own = (1 + Predictor(model).info["crop"]["margin"]) / (1 + load_settings().crop_faces.margin)
    show(
        f"accuracy against the crop; that of model.json is {own:.2f}",
        pd.DataFrame(accuracies, index=CROPS).T,
    )
    if curve:
        crops.draw(accuracies, own, curve)
    return {
        "crop": own,
        "crop_spread": crops.spread(accuracies[BY_FER_PLUS]),
        "crop_spread_web": crops.spread(accuracies[WEB]),
        "crops": dict(zip(map(str, CROPS), zip(*accuracies.values(), strict=True), strict=True)),
    }


def small_sets(images: list[np.ndarray], y_true: np.ndarray, groups: np.ndarray) -> dict[str, Any]:
    """Show what grids/small.yaml learns from FEW faces."""
    function, grid = "benchmarks.lib.small_sets:out_of_fold", load_grid("small")
    answers = call_in_own_process(function, grid, images, y_true, groups, FEW, threads=1, on_message=print)
    rows = {name: scored(y_true, of) for name, of in answers.items()}
    show(f"learnt from {FEW} web faces, by five folds", pd.DataFrame(rows).T)
    figures = {f"{name.replace('-', '_')}_{FEW}": row["accuracy"] for name, row in rows.items()}
    return {**figures, "small_sets": rows}


def doubts(images: list[np.ndarray], y_true: np.ndarray, groups: np.ndarray) -> dict[str, float]:
    """Show how well label doubts find labels of which a tenth were flipped, by what they learn from."""
    features = {"pretrained": seen(images, True), "hog": np.stack(list(map(hog_of, images)))}
    rows = {model: on_flipped(model, x, y_true, groups, FLIPPED) for model, x in features.items()}
    show(f"label doubts, {FLIPPED:.0%} of {len(images)} labels flipped", pd.DataFrame(rows).T)
    precision = {model: row["first tenth"] for model, row in rows.items()}
    return {"doubt_precision": precision["pretrained"], "doubt_precision_hog": precision["hog"]}


def beside_peers(folder: Path, faces: dict[str, tuple[np.ndarray, list[Shown]]]) -> dict[str, Any]:
    """Show what peers say of the same faces, each at the crop at which it is right most often."""
    cuts = {
        (name, crop): crops.cut(shown, crop, SIDE)
        for name, (_, shown) in faces.items()
        for crop in ([] if name == WEB else [None]) + [*CROPS]
    }
    rows = {}
    for peer, ask in peers(folder):
        for name, (y_true, _) in faces.items():
            tried = [
                {"crop": crop or "whole picture", **scored(y_true, ask(cut))}
                for (of, crop), cut in cuts.items()
                if of == name
            ]
            rows[peer, name] = max(tried, key=lambda row: row["accuracy"])
    table = pd.DataFrame(rows).T
    show("peers, at the crop that suits them best", table.drop(columns="ECE", errors="ignore"))
    return {f"{peer}, {name}": row.to_dict() for (peer, name), row in table.iterrows()}


def bench(arguments: argparse.Namespace, work: Path) -> dict[str, Any]:
    table = private_test(arguments.fer2013, arguments.votes, work)
    table = table.sample(min(arguments.faces, len(table)), random_state=2021).sort_index()
    pictures = [read_image(Path(path)) for path in table["path"]]
    own, most = table["own"].to_numpy(), table["most"].to_numpy()
    decided = most != NONE
    photos = listed(arguments.photos).set_index("path")["label"]
    faces = cut_faces(map(Path, photos.index), load_settings().crop_faces.size)
    labels = np.array([EXPRESSIONS.index(photos[str(face.photo)]) for face in faces])
    print(f"{len(pictures)} pictures of FER2013, {decided.sum()} decided by FER+; {len(faces)} web faces")

    model, largest = arguments.model, Predictor(arguments.model, faces="largest")
    whole = [(picture, as_face(picture.shape)) for picture in pictures]
    [of_whole] = crops.answers([Predictor(model, whole=True)], whole)
    on_web = list(crops.of_photos(faces))
    [of_web] = crops.answers([largest], on_web)
    judged = {
        OWN: (own, of_whole),
        BY_FER_PLUS: (most[decided], of_whole[decided]),
        WEB: (labels, of_web),
    }
    figures = zero_shot(judged, largest.info["prior"])

    framed, found = crops.of_whole_faces([pictures[i] for i in np.flatnonzero(decided)], largest)
    print(f"MTCNN finds a face in {found:.1%} of FER2013's pictures")
    shown = {BY_FER_PLUS: (most[decided], framed), WEB: (labels, on_web)}
    figures |= over_crops(model, shown, arguments.curve, work)
    if arguments.peers:
        figures["peers"] = beside_peers(arguments.peers, shown)
    rules = load_settings().clean.rules
    groups = nearest(faces, rules.min_copy_bits - 1, rules.max_copy_correlation)["group_id"].to_numpy()
    images = [face.image for face in faces]
    figures |= small_sets(images, labels, groups) | doubts(images, labels, groups)
    covered = covers.told_figures(covers.real_faces(arguments.fer2013, arguments.photos), rules.max_covered)
    print(f"\ncovered eyes (benchmarks.covers has more): {covered}")
    return figures | covered


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.pretrained",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("fer2013", type=Path, help="FER2013 in class folders, or a zip of it")
    add("votes", type=Path, help="FER+'s votes")
    add("photos", type=Path, help="web photos in class folders")
    add("--model", type=Path, default=PRETRAINED, help="a model's folder (default: pretrained/)")
    add("--peers", type=Path, metavar="DIR", help="where other programs are installed")
    add("--curve", type=Path, metavar="FILE.png", help="draw accuracy against the crop there")
    add("--faces", type=int, default=10_000, metavar="N", help="at most N of FER2013's (default: all)")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as work:
        figures = bench(arguments, Path(work))
    print(json.dumps(figures, default=float))


if __name__ == "__main__":
    main()
