"""The parts of the data card that are made from tables: montages of pictures and histograms."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from fer_tasks.reports import data_card_tables as tables
from fer_tasks.reports import plots
from fer_tasks.reports.data_card_page import Montage
from fer_tasks.reports.data_card_tables import ABOUT, Distribution
from fer_tasks.reports.render import Picture

COMPARED = {  # measures whose medians are compared: their names on the page
    "brightness": "brightness",
    "contrast": "contrast",
    "sharpness": "sharpness",
    "yaw": "yaw, either way",
    "face_side": "face in the photo, px",
    "label_doubt": "label doubt",
}


class Pictures(NamedTuple):
    """Photos and faces that can be shown."""

    paths: Mapping[str, Path]  # by image_id
    read_jpeg: Callable[[Path], bytes]  # a small JPEG of the picture

    def show(self, image_id: str, title: str, caption: str) -> Picture:
        """A photo or face; with the title `several_faces`, the photo that the face is cut from."""
        shown = image_id.rsplit("-", 1)[0] if title == "several_faces" else image_id
        return Picture(self.read_jpeg(self.paths[shown]), f"{title}, {caption}", caption, "jpeg")


def rejected_montages(pictures: Pictures, rejected: pd.DataFrame, n: int) -> dict[str, list[Montage]]:
    """A montage of at most `n` pictures a reason, by stage. `rejected`: of `all_rejected`."""
    montages: dict[str, list[Montage]] = {}
    for (stage, reason), rows in rejected.groupby(["stage", "reason"], sort=False):
        montages.setdefault(stage, []).append(_montage(pictures, reason, rows, n))
    return montages


def doubted_montages(pictures: Pictures, doubted: pd.DataFrame, n: int) -> list[Montage]:
    """A montage of at most `n` faces a rule. `doubted`: rule, image_id, score, label, suggestion, detail."""
    return [_montage(pictures, rule, rows, n) for rule, rows in doubted.groupby("rule")]


def _montage(pictures: Pictures, reason: str, rows: pd.DataFrame, n: int) -> Montage:
    examples = tables.examples(rows, n)
    readable = examples["image_id"].isin(pictures.paths)
    unreadable = examples[~readable]
    notes = list(unreadable["source"] + ": " + unreadable["detail"]) if len(unreadable) else []
    shown = [pictures.show(row.image_id, reason, _caption(row)) for row in examples[readable].itertuples()]
    return Montage(reason, len(rows), ABOUT.get(reason, ""), shown, notes)


def _caption(row: tuple) -> str:
    suggestion = getattr(row, "suggestion", "")
    return f"{row.label}{f', or {suggestion}' if suggestion else ''}: {row.detail}"


def copy_montages(
    pictures: Pictures, measures: pd.DataFrame, copies: pd.DataFrame, sources: Mapping[str, str], n: int
) -> list[Montage]:
    """A montage of at most `n` faces for each group of `copies` (`copy_groups`). `sources`: by image_id."""
    montages = []
    for group in copies.itertuples():
        faces = measures[measures["group_id"] == group.group_id].head(n)
        captions = faces["split"] + ", " + faces["label"] + ": " + faces["image_id"].map(sources)
        shown = [
            pictures.show(image_id, "near-copy", caption)
            for image_id, caption in zip(faces["image_id"], captions, strict=True)
        ]
        marks = ["leak"] * group.leak + ["several labels"] * group.conflict
        montages.append(Montage(f"{group.size} copies", group.size, ", ".join(marks), shown))
    return montages


def pair_montages(
    pictures: Pictures, doubted: pd.DataFrame, pairs: Sequence[tuple[str, str]], n: int
) -> list[Montage]:
    """A montage of the `n` most doubted faces for each (label, suggestion); `doubted`: labels only."""
    montages = []
    for label, suggestion in pairs:
        rows = doubted[(doubted["label"] == label) & (doubted["suggestion"] == suggestion)]
        title = f"{label}, or {suggestion}?"
        worst = rows.sort_values("score", ascending=False).head(n)
        shown = [pictures.show(row.image_id, title, f"doubt {row.value:.2f}") for row in worst.itertuples()]
        montages.append(Montage(title, len(rows), "", shown))
    return montages


def distributions(
    measures: pd.DataFrame,
    photos: pd.DataFrame,
    thresholds: Mapping[str, float],
    min_face: float,
    min_side: float,
) -> list[Distribution]:
    """The measures of faces and photos, with the limits beyond which they are doubted or rejected.

    `measures`: a row a face, with face_side. `photos`: width, height. `thresholds`: of clean's rules.
    """
    limits, sides = thresholds, photos[["width", "height"]].min(axis=1)
    shades = limits["min_brightness"], limits["max_brightness"]
    yaw, roll, sharpness = limits["max_yaw"], limits["max_roll"], limits["min_sharpness"]
    return [
        Distribution("brightness, mean grey", measures["brightness"], *shades),
        Distribution("contrast, spread of the greys", measures["contrast"], limits["min_contrast"]),
        Distribution("sharpness, variance of the Laplacian", measures["sharpness"], sharpness, log=True),
        Distribution("yaw, 0 is frontal", measures["yaw"], -yaw, yaw),
        Distribution("roll, degrees", measures["roll"], -roll, roll),
        Distribution("face in the photo, shorter side, px", measures["face_side"], min_face, log=True),
        Distribution("photo, shorter side, px", sides, min_side, log=True),
        Distribution("covered, 0 to 1", measures["covered"], high=limits["max_covered"]),
        Distribution("label doubt, 0 to 1", measures["label_doubt"], high=limits["max_label_doubt"]),
    ]


def histogram(distribution: Distribution) -> Picture:
    """A histogram with its limits, and the distribution in a sentence as its text."""
    values, (name, _, low, high, log) = distribution.values.dropna().to_numpy(float), distribution
    return Picture(plots.histogram(values, name, low, high, log), distribution.summary())


def compared_medians(measures: pd.DataFrame, faces: pd.DataFrame) -> pd.DataFrame:
    """The medians of COMPARED by expression and split. `faces`: image_id, label, split of the clean faces."""
    measured = measures.assign(yaw=measures["yaw"].abs()).set_index("image_id")[list(COMPARED)]
    rows = faces[["image_id", "label", "split"]].join(measured, on="image_id")
    return tables.medians(rows, list(COMPARED)).rename(columns=COMPARED)
