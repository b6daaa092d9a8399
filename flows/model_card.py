"""What the model card says of the best network: its data, and how often it is right on slices of test."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from fer_tasks.evaluation import slices
from fer_tasks.evaluation.calibration import calibrated, unlearnt
from fer_tasks.labels import SPLITS, groups_among
from fer_tasks.reports import plots
from fer_tasks.reports.model_card_page import CardData, ModelCard
from fer_tasks.reports.render import Picture
from fer_tasks.storage.dataset import Dataset, read_with_groups
from fer_tasks.storage.files import read_table
from flows.grid.predictions import Predictions, judged

BOX = ["box_height", "box_width"]  # px in the photo, of clean's manifest


class Asked(NamedTuple):
    """The best network and what it says of the test split."""

    info: dict[str, Any]  # model.json
    about: dict[str, Any]  # cell.json
    predictions: Predictions  # of the network as it is
    ms_a_face: float
    candidates: int


def make_card(asked: Asked, raw: Dataset, clean: Path) -> ModelCard:
    """The card of the best network. `clean`: the folder of the clean faces."""
    info, dataset = asked.info, read_with_groups(clean)
    predictions = judged(asked.predictions, asked.about)
    probabilities = calibrated(predictions.probabilities, info["temperature"], info["prior"])
    right = probabilities.argmax(axis=1) == predictions.y_true
    answered = probabilities.max(axis=1) >= info["doubt"]["threshold"]
    faces = known_of(dataset, predictions.faces["image_id"])
    names = [*slices.slices_of(faces.assign(label=_labels(info, predictions))).items()]
    told = {by: of_face for by, of_face in names if of_face.notna().any()}
    table = slices.accuracy_by_slice(told, right, answered)
    overall = tuple(info["figures"]["test"][f"accuracy{end}"] for end in ("", "_low", "_high"))
    alt = (
        "Accuracy by slice of the test faces, each with its 95 % interval; the tables below have the figures"
    )
    return ModelCard(
        info=info,
        made=asked.about,
        data=_data(info, raw, dataset, len(asked.predictions.y_true) - len(predictions.y_true)),
        candidates=asked.candidates,
        slices=table,
        gaps=slices.largest_gaps(table),
        unmeasured=[by for by, _ in names if by not in told],
        least=slices.LEAST,
        ms_a_face=asked.ms_a_face,
        unlearnt=unlearnt(info["prior"]),
        plots=[Picture(plots.slices(table, overall, dark), alt) for dark in (False, True)],
    )


def known_of(clean: Dataset, ids: pd.Series) -> pd.DataFrame:
    """What is known of each of these faces: the measures of `clean` (none where it is of a former version),
    its groups, and `face_side`, the shorter side of its box in px of the photo."""
    file = clean.root / "measures.csv"
    measures = read_table(file) if file.exists() else pd.DataFrame({"image_id": clean.manifest["image_id"]})
    wanted = [one.column for one in slices.MEASURES if one.column in measures]
    manifest = clean.manifest.set_index("image_id")
    known = manifest[groups_among(manifest)].join(measures.set_index("image_id")[wanted])
    if set(BOX) <= set(manifest):
        known = known.assign(face_side=manifest[BOX].min(axis=1))
    return known.reindex(ids).reset_index(drop=True)


def _labels(info: dict[str, Any], predictions: Predictions) -> np.ndarray:
    return np.array(info["labels"])[predictions.y_true]


def _data(info: dict[str, Any], raw: Dataset, clean: Dataset, left_out: int) -> CardData:
    settings, counts = raw.info["settings"], clean.manifest["split"].value_counts()
    return CardData(
        name=info["figures"]["test"]["data"].removesuffix(", test split"),
        generated=settings["source"].endswith("sample.yaml"),
        licence=settings.get("licence") or "",
        kaggle=settings.get("kaggle", ""),
        came_in=raw.info["kept"] + sum(raw.info["rejected"].values()),
        counts={split: int(counts.get(split, 0)) for split in SPLITS},
        test_left_out=left_out,
    )
