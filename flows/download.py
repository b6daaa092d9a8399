"""A source -> data/raw: every picture with its id, label, split and size."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import reduce
from pathlib import Path

import numpy as np
import pandas as pd
from prefect import flow, get_run_logger

from fer_tasks.errors import UserError
from fer_tasks.labels import VOTES, groups_among
from fer_tasks.settings import Download, Settings
from fer_tasks.sources import exact_duplicates, fer2013, folder
from fer_tasks.sources.listing import Listing, together
from fer_tasks.sources.names import suffix_of
from fer_tasks.storage import images
from fer_tasks.storage.dataset import REJECTED_COLUMNS, empty_folder, image_id, write_dataset, write_image
from fer_tasks.storage.files import write_bytes
from flows.engine.memo_map import map_items, shard_task
from flows.engine.stage import close, run_stage
from flows.source_files import CACHE, as_folder, begin_reading, note_read

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


@shard_task
def identify(shard: dict[str, str]) -> dict[str, tuple[str, str, str]]:
    """image_id, reason and detail of each file."""
    return {i: _id_or_fault(path) for i, path in shard.items()}


@shard_task
def copy(shard: dict[str, str], target: Path) -> dict[str, str | UserError]:
    """The name of each copy, or why there is none: then no shard is copied any more when the flow ends."""
    return {i: _copy_or_fault(i, Path(path), target) for i, path in shard.items()}


@flow(name="download")
def download(settings: Settings, target: Path = Path("data/raw")) -> None:
    source = Path(settings.download.source)
    fingerprints = begin_reading(source)
    files, about = as_folder(source)
    listing = _list_pictures(files)
    for warning in listing.warnings:
        get_run_logger().warning(warning)
    pictures = _with_ids(listing.pictures)
    readable = pictures[pictures["reason"] == ""].drop(columns=["reason", "detail"])
    measured = readable.merge(_inspect_all(readable, settings.download), on="image_id")
    good = measured["reason"] == ""
    kept, duplicates = exact_duplicates.split_exact_duplicates(measured[good])
    kept = kept.astype({"width": int, "height": int})
    bad = [
        listing.rejected.assign(image_id=""),
        pictures[pictures["reason"] != ""],
        duplicates,
        measured[~good],
    ]
    rejected = pd.concat(bad)[[*REJECTED_COLUMNS, "source"]]
    contents = "".join(sorted(pictures["source"] + pictures["image_id"] + pictures["label"]))
    made_from = {settings.download.source: image_id(contents.encode())}
    with _whole_or_absent(target):
        empty_folder(target)
        files_of = _copy_all(kept, target)
        more = [*kept.columns.intersection(VOTES), *groups_among(kept)]
        kept = kept.assign(file=files_of)[[*COLUMNS, *more]]
        info = write_dataset(target, kept, rejected, made_from, {**settings.download.model_dump(), **about})
    close(target, len(listing.pictures) + len(listing.rejected), info)
    note_read(fingerprints)


def _list_pictures(files: Path) -> Listing:
    """All pictures of the source: of a FER2013 table in a folder also those beside the table."""
    folder.check(files)
    pixels = fer2013.pixel_table(files)
    near = sorted(pixels.parent.glob("*.[ct]sv")) if pixels else fer2013.tables(files)
    tables = [path for path in (pixels, fer2013.votes_table(near)) if path]
    listings = [fer2013.list_pictures(pixels, CACHE / "fer2013", _save)] if pixels else []
    if files.is_dir():
        listings.append(folder.list_folder(files, but=tables))
    listing = reduce(together, listings or [folder.list_table(files)])
    notes = fer2013.notes_on_votes(listing.pictures, near)
    pictures = fer2013.add_votes(listing.pictures, near)
    return folder.require_pictures(files, Listing(pictures, listing.rejected, (*listing.notes, *notes)))


def _with_ids(pictures: pd.DataFrame) -> pd.DataFrame:
    """The pictures with image_id; reason and detail are set if a file cannot be read."""
    paths = {str(n): str(path) for n, path in enumerate(pictures["path"])}
    found = [row for _, row in map_items(identify, paths, remember=False)]
    read = pd.DataFrame(found, columns=["image_id", "reason", "detail"], dtype=str)
    return pictures.reset_index(drop=True).join(read)


def _id_or_fault(path: str) -> tuple[str, str, str]:
    try:
        return image_id(Path(path).read_bytes()), "", ""
    except OSError as error:
        return "", "unreadable", f"it cannot be read: {error.strerror}"


def _save(path: Path, pixels: np.ndarray) -> None:
    write_bytes(path, images.encode_png(pixels))


def _inspect_all(pictures: pd.DataFrame, settings: Download) -> pd.DataFrame:
    paths = dict(zip(pictures["image_id"], pictures["path"].map(str), strict=True))
    inspected = map_items(inspect, paths, max_pixels=settings.max_pixels, min_side=settings.min_side)
    rows = [{"image_id": i, **row} for i, row in inspected]
    return pd.DataFrame(rows, columns=["image_id", "reason", "detail", *MEASURED])


@contextmanager
def _whole_or_absent(target: Path) -> Iterator[None]:
    """Remove a half-written target if writing fails."""
    try:
        yield
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise


def _copy_all(pictures: pd.DataFrame, target: Path) -> list[str]:
    paths = dict(zip(pictures["image_id"], pictures["path"].map(str), strict=True))
    copied = dict(map_items(copy, paths, remember=False, target=target))
    for fault in copied.values():
        if isinstance(fault, UserError):
            raise fault
    return [*copied.values()]


def _copy_or_fault(expected_id: str, path: Path, target: Path) -> str | UserError:
    try:
        return _copy(expected_id, path, target)
    except UserError as fault:
        return fault


def _copy(expected_id: str, path: Path, target: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError:  # else it would look like a failure of the disk that is written to
        data = b""
    if image_id(data) != expected_id:
        raise UserError(f"{path} changed while it was read; run again when nothing changes the source")
    return write_image(target, expected_id, data, suffix_of(path.name))


if __name__ == "__main__":
    run_stage(download)
