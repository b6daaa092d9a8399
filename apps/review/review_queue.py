"""The faces to review: every face that reached cleaning, with its measures, its doubts and the rule that
rejects it."""

import json
import os
from collections.abc import Callable, Hashable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from fer_tasks.cleaning.rules import RULE_NAMES
from fer_tasks.errors import UserError
from fer_tasks.labels import EXPRESSIONS, REJECTED_BY_PERSON, SPLITS
from fer_tasks.storage.dataset import read_dataset
from fer_tasks.storage.files import read_table

NAMES = ("raw", "textfree", "clean")  # the datasets of photos, faces, and measures and doubts

Record = dict[Hashable, Any]


class ReviewQueue(NamedTuple):
    """The faces and their data by image_id, worst first."""

    made: str  # the fingerprint of data/clean
    faces: dict[str, Record]  # pixels, label, split, file (a path), box_…, landmarks, photo (a path) …
    measures: dict[str, Record]
    doubts: dict[str, list[Record]]  # rule, score, suggestion, other, detail; in the order of RULE_NAMES
    ruled: dict[str, str]  # the rule that rejects a face unless somebody keeps it

    def suggestion(self, image_id: str) -> str:
        """The expression that a model suggests in place of a doubted label; "" without one."""
        return next((doubt["suggestion"] for doubt in self.doubts[image_id] if doubt["suggestion"]), "")


def open_queue(data: Path) -> Callable[[], ReviewQueue]:
    """Return a function that returns the queue, and reloads it when cleaning has run again.

    Raises:
        UserError: `data` has no finished datasets; the message names the stage to run.
    """
    loaded = _marks(data), read_queue(data)

    def newest() -> ReviewQueue:
        nonlocal loaded
        if (now := _marks(data)) and now != loaded[0]:
            with suppress(UserError):  # `dvc repro` is running: keep the former queue
                loaded = now, read_queue(data)
        return loaded[1]

    return newest


def _marks(data: Path) -> tuple[int, ...]:
    try:
        return tuple(os.stat(data / name / "dataset.json").st_mtime_ns for name in NAMES)
    except OSError:
        return ()


def read_queue(data: Path) -> ReviewQueue:
    """Read data/raw, data/textfree and data/clean.

    Raises:
        UserError: as `open_queue`.
    """
    clean, textfree, raw = (read_dataset(data / name) for name in reversed(NAMES))
    if not clean.is_made_from(textfree):
        raise UserError(f"{clean.root} was made from other faces than {textfree.root}; run `dvc repro clean`")
    measures = read_table(clean.root / "measures.csv").set_index("image_id", drop=False)
    doubts = _by_face(read_table(clean.root / "doubts.csv"), textfree.manifest["image_id"])
    photos = raw.manifest.assign(path=raw.image_paths()).set_index("image_id")
    faces = textfree.manifest.assign(
        split=textfree.manifest["image_id"].map(measures["split"]),
        file=textfree.image_paths(),
        photo=textfree.manifest["parent_id"].map(photos["path"]),
        worst=[sum(row["score"] for row in doubts[i]) for i in textfree.manifest["image_id"]],
        label_doubt=textfree.manifest["image_id"].map(measures["label_doubt"]),
    ).sort_values(["worst", "label_doubt", "image_id"], ascending=[False, False, True])
    ruled = clean.rejected[clean.rejected["reason"] != REJECTED_BY_PERSON]
    return ReviewQueue(
        clean.fingerprint,
        _records(faces),
        _records(measures),
        doubts,
        dict(zip(ruled["image_id"], ruled["reason"], strict=True)),
    )


def _by_face(doubts: pd.DataFrame, faces: pd.Series) -> dict[str, list[Record]]:
    order = doubts["rule"].map(RULE_NAMES.index)
    by_face: dict[str, list[Record]] = {image_id: [] for image_id in faces}
    for row in doubts.assign(order=order).sort_values("order").to_dict("records"):
        by_face[row["image_id"]].append(row)
    return by_face


def _records(table: pd.DataFrame) -> dict[str, Record]:
    return {row["image_id"]: row for row in table.to_dict("records")}


def listing(queue: ReviewQueue, reviewer: str) -> str:
    """The page's list of faces as compact JSON.

    It has the names of expressions, rules and splits once. A face is a list of its id, its pixel hash, the
    indices of its label, split, rejecting rule and suggestion (-1 for none), and its doubts as rule, score,
    rule, score …
    """
    faces = [
        [
            image_id,
            face["pixels"],
            EXPRESSIONS.index(face["label"]),
            SPLITS.index(face["split"]),
            _number(RULE_NAMES, queue.ruled.get(image_id, "")),
            _number(EXPRESSIONS, queue.suggestion(image_id)),
            [
                part
                for doubt in queue.doubts[image_id]
                for part in (RULE_NAMES.index(doubt["rule"]), doubt["score"])
            ],
        ]
        for image_id, face in queue.faces.items()
    ]
    names = {"expressions": EXPRESSIONS, "rules": RULE_NAMES, "splits": SPLITS}
    return json.dumps(
        {"made": queue.made, "reviewer": reviewer, **names, "faces": faces}, separators=(",", ":")
    )


def _number(names: tuple[str, ...], name: str) -> int:
    return names.index(name) if name else -1


def details(queue: ReviewQueue, image_id: str) -> dict[str, Any]:
    """One face's data for the view of its whole photo."""
    face, measures = queue.faces[image_id], queue.measures[image_id]
    return {
        "box": [face[f"box_{name}"] for name in ("row", "col", "height", "width")],
        "landmarks": json.loads(face["landmarks"] or "[]"),
        "size": [face["height"], face["width"]],
        "source": face["source"],
        "measures": {name: value for name, value in measures.items() if _is_number(value)},
        "doubts": [
            {name: row[name] for name in ("rule", "score", "other", "detail")}
            for row in queue.doubts[image_id]
        ],
    }


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and value == value
