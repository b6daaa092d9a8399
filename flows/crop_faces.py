"""data/raw -> data/faces: MTCNN, one aligned face crop a picture, and what was measured of it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from prefect import flow, task

from fer_tasks import faces, images
from fer_tasks.dataset import REJECTED_COLUMNS, read_dataset, shards, write_dataset, write_image
from fer_tasks.faces.choose import main_face
from fer_tasks.faces.crop import cut_face, face_transform
from fer_tasks.faces.detector import Faces, detect_faces
from fer_tasks.faces.signals import light_signals
from fer_tasks.settings import CropFaces, Settings
from flows.caching import same_inputs_and_code
from flows.fan_out import map_shards
from flows.stage import close, made_from, run_stage

SAME = same_inputs_and_code(faces, images)  # a picture's id is made of its bytes: equal ids, equal pixels
INHERITED = ["label", "source", "source_split", "width", "height", "photo_phash"]


@task(task_run_name="detect {shard}", cache_policy=SAME, retries=2)
def detect(shard: str, files: dict[str, str], max_side: int) -> dict[str, Faces]:
    found = detect_faces([images.read_image(Path(file)) for file in files.values()], max_side)
    return dict(zip(files, found, strict=True))


@task(task_run_name="cut {shard}", cache_policy=SAME, retries=2)
def cut(shard: str, chosen: dict[str, dict], margin: float, size: int) -> dict[str, tuple[bytes, dict]]:
    return {i: _cut(face, margin, size) for i, face in chosen.items()}


def _cut(face: dict[str, Any], margin: float, size: int) -> tuple[bytes, dict]:
    box = np.array([face[f"box_{name}"] for name in ("row", "col", "height", "width")])
    transform = face_transform(box, np.array(json.loads(face["landmarks"])), margin, size)
    image = cut_face(images.read_image(Path(face["path"])), transform, size)
    known = {"pixels": images.pixel_hash(image), "face_phash": images.perceptual_hash(image)}
    return images.encode_png(image), {**known, **light_signals(image)}


@flow(name="crop_faces")
def crop_faces(
    settings: Settings, source: Path = Path("data/raw"), target: Path = Path("data/faces")
) -> None:
    raw, wanted = read_dataset(source), settings.crop_faces
    photos = raw.manifest.set_index("image_id").assign(path=lambda row: f"{source}/" + row["file"])
    chosen, rejected = _choose(photos, wanted)
    manifest = _cut_and_write(photos, chosen, wanted, target)
    info = write_dataset(target, manifest, rejected, made_from(raw), wanted.model_dump())
    close(target, len(photos), info)


def _choose(photos: pd.DataFrame, wanted: CropFaces) -> tuple[dict[str, dict], pd.DataFrame]:
    chosen: dict[str, dict] = {}
    rejected = []
    files = {name: photos.loc[ids, "path"].to_dict() for name, ids in shards(list(photos.index)).items()}
    for name, found in map_shards(detect, files, max_side=wanted.max_side):
        for i, those in found.items():
            shape = (photos.at[i, "height"], photos.at[i, "width"])
            face = main_face(those, shape, wanted.min_score, wanted.min_face)
            if "reason" in face:
                rejected.append({"image_id": i, **face})
            else:
                chosen.setdefault(name, {})[i] = {"path": photos.at[i, "path"], **face}
    return chosen, pd.DataFrame(rejected, columns=REJECTED_COLUMNS)


def _cut_and_write(
    photos: pd.DataFrame, chosen: dict[str, dict], wanted: CropFaces, target: Path
) -> pd.DataFrame:
    rows = []
    for name, crops in map_shards(cut, chosen, margin=wanted.margin, size=wanted.size):
        for i, (png, measured) in crops.items():
            face_id = f"{i}-{chosen[name][i]['rank']}"
            file = write_image(target, face_id, png)
            rows.append({"image_id": face_id, "file": file, "parent_id": i, **measured})
    if not rows:
        return pd.DataFrame(columns=["image_id", "file"])
    found = pd.DataFrame({i: face for shard in chosen.values() for i, face in shard.items()}).T
    found = found.drop(columns=["path", "rank"])
    return pd.DataFrame(rows).join(photos[INHERITED], on="parent_id").join(found, on="parent_id")


if __name__ == "__main__":
    run_stage(crop_faces)
