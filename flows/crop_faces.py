"""data/raw -> data/faces: MTCNN, one aligned face crop a picture, and measures of the face."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from prefect import flow

from fer_tasks.faces.choose import main_face, whole_picture
from fer_tasks.faces.crop import cut_face, enough_to_cut, transform_of
from fer_tasks.faces.detector import Faces, Mode, detect_files
from fer_tasks.faces.signals import SIDE, light_signals
from fer_tasks.labels import VOTES, groups_among
from fer_tasks.settings import CropFaces, Settings
from fer_tasks.storage import images
from fer_tasks.storage.dataset import (
    REJECTED_COLUMNS,
    empty_folder,
    read_with_groups,
    write_dataset,
    write_image,
)
from flows.engine.memo_map import map_items, shard_task
from flows.engine.stage import close, made_from, run_stage
from flows.engine.worker_pool import call_in_worker

INHERITED = ["label", "source", "source_split", "width", "height", "photo_phash"]


@shard_task
def detect(shard: dict[str, tuple[str, int, int]], max_side: int, mode: Mode) -> dict[str, Faces]:
    sizes = {Path(path): (height, width) for path, height, width in shard.values()}
    return dict(
        zip(shard, call_in_worker(detect_files, images.read_image, sizes, max_side, mode), strict=True)
    )


@shard_task
def cut(shard: dict[str, dict], margin: float, size: int) -> dict[str, tuple[bytes, dict]]:
    return {i: _cut(face, margin, size) for i, face in shard.items()}


def _cut(face: dict[str, Any], margin: float, size: int) -> tuple[bytes, dict]:
    shape = (face["height"], face["width"])
    transforms = {side: transform_of(face, margin, side) for side in (size, SIDE)}
    # Of a larger crop's copy the light is not measured: there a JPEG's sharpness is up to 30 % higher.
    needs = {side: enough_to_cut(face, margin, side, *shape) for side in transforms}
    photos = images.read_image_for(Path(face["path"]), needs.values())
    crops = {side: cut_face(photos[needs[side]], transforms[side], shape, side) for side in transforms}
    measured = {
        "transform": json.dumps(transforms[size].round(4).tolist()),
        "pixels": images.pixel_hash(crops[size]),
    }
    return images.encode_png(crops[size]), {**measured, **light_signals(crops[SIDE])}


@flow(name="crop_faces")
def crop_faces(
    settings: Settings, source: Path = Path("data/raw"), target: Path = Path("data/faces")
) -> None:
    raw, section = read_with_groups(source), settings.crop_faces
    photos = raw.manifest.assign(path=raw.image_paths()).set_index("image_id")
    chosen, rejected = _choose(photos, section)
    manifest = _cut_and_write(photos, chosen, section, target)
    info = write_dataset(target, manifest, rejected, made_from(raw), section.model_dump())
    close(target, len(photos), info)


def _choose(photos: pd.DataFrame, section: CropFaces) -> tuple[dict[str, dict], pd.DataFrame]:
    files = {row.Index: (row.path, row.height, row.width) for row in photos.itertuples()}
    chosen, rejected = {}, []
    for i, face in _main_faces(files, section):
        if "reason" in face:
            rejected.append({"image_id": i, **face})
        else:
            path, height, width = files[i]
            chosen[i] = {"path": path, "height": height, "width": width, **face}
    return chosen, pd.DataFrame(rejected, columns=REJECTED_COLUMNS)


def _main_faces(files: dict[str, tuple[str, int, int]], section: CropFaces) -> Iterator[tuple[str, dict]]:
    if section.mode == "whole":
        yield from ((i, whole_picture(shape)) for i, (_, *shape) in files.items())
        return
    for i, faces in map_items(detect, files, max_side=section.max_side, mode=section.mode):
        yield i, main_face(faces, files[i][1:], section.min_score, section.min_face)


def _cut_and_write(
    photos: pd.DataFrame, chosen: dict[str, dict], section: CropFaces, target: Path
) -> pd.DataFrame:
    rows = []
    margin = 0.0 if section.mode == "whole" else section.margin
    empty_folder(target)
    for i, (png, measured) in map_items(cut, chosen, margin=margin, size=section.size):
        face_id = f"{i}-{chosen[i]['rank']}"
        rows.append(
            {"image_id": face_id, "file": write_image(target, face_id, png), "parent_id": i, **measured}
        )
    if not rows:
        return pd.DataFrame(columns=["image_id", "file"])
    main_faces = pd.DataFrame.from_dict(chosen, orient="index").drop(
        columns=["path", "rank", "height", "width"]
    )
    inherited = [*INHERITED, *photos.columns.intersection(VOTES), *groups_among(photos)]
    return pd.DataFrame(rows).join(photos[inherited], on="parent_id").join(main_faces, on="parent_id")


if __name__ == "__main__":
    run_stage(crop_faces)
