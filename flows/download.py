"""A source -> data/raw: every picture with its id, label, split and size."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
from prefect import flow, get_run_logger

from fer_tasks import images
from fer_tasks.dataset import REJECTED_COLUMNS, image_id, write_bytes, write_dataset, write_image
from fer_tasks.errors import UserError
from fer_tasks.settings import Download, Settings
from fer_tasks.sources import doubles, fer2013, folder
from flows.fan_out import map_items, shard_task
from flows.source import CACHE, as_folder
from flows.stage import close, run_stage

MEASURED = ["pixels", "photo_phash", "width", "height"]
COLUMNS = ["image_id", "file", "label", "source", "source_split", *MEASURED]


@shard_task
def inspect(shard: dict[str, str], max_pixels: int, min_side: int) -> dict[str, dict]:
    return {i: _measure(Path(path), max_pixels, min_side) for i, path in shard.items()}


def _measure(path: Path, max_pixels: int, min_side: int) -> dict:
    try:
        image = images.decode_image(path.read_bytes(), max_pixels, min_side)
    except images.BadImage as bad:
        return {"reason": bad.reason, "detail": bad.detail}
    return {
        "reason": "",
        "pixels": images.pixel_hash(image),
        "photo_phash": images.perceptual_hash(image),
        "height": image.shape[0],
        "width": image.shape[1],
    }


@flow(name="download")
def download(settings: Settings, target: Path = Path("data/raw")) -> None:
    files, about = as_folder(Path(settings.download.source))
    listing = _list_pictures(files)
    for warning in listing.warnings:
        get_run_logger().warning(warning)
    pictures = listing.pictures.assign(
        image_id=[image_id(Path(p).read_bytes()) for p in listing.pictures["path"]]
    )
    once, twice = doubles.set_doubles_aside(pictures)
    measured = once.merge(_inspect_all(once, settings.download), on="image_id")
    kept = measured[measured["reason"] == ""].astype({"width": int, "height": int})
    bad = measured[measured["reason"] != ""]
    rejected = pd.concat([listing.rejected.assign(image_id=""), twice, bad])[[*REJECTED_COLUMNS, "source"]]
    contents = "".join(sorted(pictures["source"] + pictures["image_id"] + pictures["label"]))
    made_from = {settings.download.source: image_id(contents.encode())}
    with _whole_or_absent(target):
        files_of = [_copy(i, Path(p), target) for i, p in zip(kept.image_id, kept.path, strict=True)]
        kept = kept.assign(file=files_of)[[*COLUMNS, *kept.columns.intersection(fer2013.VOTES)]]
        info = write_dataset(target, kept, rejected, made_from, {**settings.download.model_dump(), **about})
    close(target, len(listing.pictures) + len(listing.rejected), info)


def _list_pictures(files: Path) -> folder.Listing:
    if table := fer2013.pixel_table(files):
        found = fer2013.list_pictures(table, CACHE / "fer2013", _save)
        near = sorted(table.parent.glob("*.csv"))
    else:
        found, near = folder.list_pictures(files), fer2013.tables(files)
    return found._replace(pictures=fer2013.add_votes(found.pictures, near))


def _save(path: Path, pixels: np.ndarray) -> None:
    write_bytes(path, images.encode_png(pixels))


def _inspect_all(pictures: pd.DataFrame, settings: Download) -> pd.DataFrame:
    paths = dict(zip(pictures["image_id"], pictures["path"].map(str), strict=True))
    found = map_items(inspect, paths, max_pixels=settings.max_pixels, min_side=settings.min_side)
    rows = [{"image_id": i, **row} for i, row in found]
    return pd.DataFrame(rows, columns=["image_id", "reason", "detail", *MEASURED])


@contextmanager
def _whole_or_absent(target: Path) -> Iterator[None]:
    """Nothing half-written stays where writing fails."""
    try:
        yield
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise


def _copy(known_id: str, path: Path, target: Path) -> str:
    data = path.read_bytes()
    if image_id(data) != known_id:
        raise UserError(f"{path} changed while it was read; run again when nothing writes to the source")
    return write_image(target, known_id, data, path.suffix.lower())


if __name__ == "__main__":
    run_stage(download)
