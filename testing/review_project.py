"""A project of drawn faces, as the stages up to `clean` write it, and the review page's server in it."""

import io
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

from fer_tasks.cleaning.decisions import COLUMNS
from fer_tasks.cleaning.rules import RULES, doubts, rejected_by_rules
from fer_tasks.labels import EXPRESSIONS
from fer_tasks.settings import load_settings
from fer_tasks.storage.dataset import STAGES, image_id, named_from, write_dataset, write_image
from fer_tasks.storage.files import write_table
from testing.web import ROOT, started

PHOTO, FACE = (180, 240), 150  # height and width of a photo, side of a face, px
BOX = (40.0, 70.0, 100.0, 90.0)  # row, column, height, width in the photo
LANDMARKS = [[75.0, 95.0], [75.0, 135.0], [95.0, 115.0], [118.0, 100.0], [118.0, 130.0]]
DECISIONS = "review/decisions.csv"
NO_DECISIONS = ",".join(COLUMNS) + "\n"


def make_project(folder: Path, data: Path) -> Path:
    """Make a project folder with these data and no decisions yet."""
    (folder / DECISIONS).parent.mkdir(parents=True)
    (folder / DECISIONS).write_text(NO_DECISIONS)
    (folder / "data").symlink_to(data)
    return folder


@contextmanager
def served(project: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen, str]]:
    """Serve the page as `make review` does, on a free port; yields the server's process and its address."""
    with started(["apps.review", "--port", "0", *arguments], project) as server:
        yield server


def write_faces(data: Path, n: int, seed: int = 0) -> pd.DataFrame:
    """Write data/raw, data/faces, data/textfree and data/clean with `n` faces; return textfree's manifest.

    About a third are doubted. Each has its own id and pixel hash, but the files repeat after fifty faces.
    """
    drawn = np.random.default_rng(seed)
    ids = [image_id(f"{seed} {i}".encode()) for i in range(n)]
    faces = pd.DataFrame({"parent_id": ids, "label": [EXPRESSIONS[i % 7] for i in range(n)]})
    faces = faces.assign(
        image_id=faces["parent_id"] + "-0",
        pixels=[image_id(f"pixels {seed} {i}".encode()) for i in range(n)],
        source=[f"train/{label}/{i}.jpg" for i, label in enumerate(faces["label"])],
        source_split="train",
        height=PHOTO[0],
        width=PHOTO[1],
        **dict(zip(("box_row", "box_col", "box_height", "box_width"), BOX, strict=True)),
        landmarks=json.dumps(LANDMARKS),
        transform="[[1, 0, 0], [0, 1, 0]]",
    )
    pictures = [_draw(drawn) for _ in range(min(n, 50))]
    raw, cut, textfree, clean = (data / name for name in STAGES)
    photos = faces.assign(
        image_id=ids, file=[write_image(raw, i, pictures[k % 50][0], ".jpg") for k, i in enumerate(ids)]
    )
    nothing = pd.DataFrame(columns=["reason", "detail"])
    write_dataset(raw, photos, nothing, {}, {})
    faces["file"] = [write_image(cut, f"{i}-0", pictures[k % 50][1]) for k, i in enumerate(ids)]
    made_from = {str(cut): write_dataset(cut, faces, nothing, {}, {})["fingerprint"]}
    faces["file"] = named_from(textfree, cut, faces["file"])
    info = write_dataset(textfree, faces, nothing, made_from, {})
    _clean(faces, {**made_from, str(textfree): info["fingerprint"]}, clean, drawn)
    return faces


def _clean(faces: pd.DataFrame, made_from: dict[str, str], clean: Path, drawn: np.random.Generator) -> None:
    settings = load_settings(ROOT / "params.yaml").clean
    measures = _measures(faces, drawn)
    doubted = doubts(measures, settings.rules.model_dump())
    rejected = rejected_by_rules(doubted, settings.reject)
    kept = faces[~faces["image_id"].isin(rejected["image_id"])]
    kept = kept.merge(measures[["image_id", "split", "group_id"]], on="image_id").assign(reviewer="")
    write_table(clean / "measures.csv", measures)
    write_table(clean / "doubts.csv", doubted)
    write_dataset(clean, kept, rejected, made_from, {})


def _measures(faces: pd.DataFrame, drawn: np.random.Generator) -> pd.DataFrame:
    n = len(faces)
    return pd.DataFrame(
        {
            **dict.fromkeys([rule.measure for rule in RULES], np.nan),
            "image_id": faces["image_id"],
            "label": faces["label"],
            "split": drawn.choice(["train", "val", "test"], n, p=[0.7, 0.1, 0.2]),
            "yaw": np.abs(drawn.normal(0, 0.3, n)).round(3),
            "roll": drawn.normal(0, 12, n).round(2),
            "second_face": (drawn.random(n) ** 8).round(3),
            "eye_distance": drawn.uniform(13, 80, n).round(2),
            "brightness": drawn.normal(128, 35, n).round(2),
            "contrast": drawn.normal(55, 14, n).round(2),
            "sharpness": drawn.lognormal(5.5, 1, n).round(2),
            "flatness": drawn.beta(2, 20, n).round(4),
            "score": (1 - drawn.beta(1, 120, n)).round(4),
            "group_id": faces["image_id"],
            "copy_of": "",
            "covered": drawn.beta(1, 8, n).round(4),
            "label_doubt": drawn.beta(8, 2, n).round(4),
            "suggestion": drawn.choice(EXPRESSIONS, n),
        }
    )


def _draw(drawn: np.random.Generator) -> tuple[bytes, bytes]:
    """A photo with a face in BOX, as JPEG, and the face, as PNG."""
    photo = Image.fromarray(_clouds(drawn))
    pen, (row, column, height, width) = ImageDraw.Draw(photo), BOX
    skin = tuple(int(part) for part in drawn.integers(120, 235, 3))
    pen.ellipse((column, row, column + width, row + height), fill=skin)
    for y, x in LANDMARKS[:3]:
        pen.ellipse((x - 4, y - 4, x + 4, y + 4), fill=(30, 25, 25))
    pen.arc((100, 105, 130, 105 + int(drawn.integers(10, 30))), 0, 180, fill=(120, 30, 40), width=4)
    face = photo.crop((55, 30, 55 + 120, 30 + 120)).resize((FACE, FACE))
    return _encode(photo, "JPEG"), _encode(face, "PNG")


def _clouds(drawn: np.random.Generator) -> np.ndarray:
    coarse = Image.fromarray(drawn.integers(0, 255, (6, 8, 3), dtype=np.uint8))
    return np.asarray(coarse.resize(PHOTO[::-1], Image.Resampling.BICUBIC))


def _encode(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()
