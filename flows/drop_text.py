"""data/faces -> data/textfree: faces without writing on them."""

from pathlib import Path

import pandas as pd
from prefect import flow

from fer_tasks import images, text
from fer_tasks.dataset import copy_images, image_files, read_dataset, write_dataset
from fer_tasks.settings import Settings
from fer_tasks.text.local import find_text
from flows.fan_out import map_items, shard_task
from flows.stage import close, made_from, run_stage


@shard_task
def read(
    shard: dict[str, tuple[str, str]], side: int, min_aspect: float, max_height: float
) -> dict[str, dict]:
    faces = [images.read_image(Path(path)) for _, path in shard.values()]
    rows = find_text(faces, side, min_aspect, max_height).to_dict("records")
    return dict(zip(shard, rows, strict=True))


@flow(name="drop_text")
def drop_text(
    settings: Settings, source: Path = Path("data/faces"), target: Path = Path("data/textfree")
) -> None:
    faces, wanted = read_dataset(source), settings.drop_text
    rule = wanted.model_dump(exclude={"engine"})
    found = map_items(read, image_files(faces.manifest, source), [text, images], **rule)
    found = pd.DataFrame([{"image_id": i, **row} for i, row in found])
    looked_at = faces.manifest.merge(found, on="image_id", validate="one_to_one")
    written_on = looked_at["has_text"]
    kept = looked_at[~written_on].drop(columns="has_text")
    detail = looked_at["text"].where(looked_at["text"] != "", "writing that could not be read")
    rejected = looked_at[["image_id"]].assign(reason="has_text", detail=detail)[written_on]
    copy_images(source, target, kept["file"])
    info = write_dataset(target, kept, rejected, made_from(faces), wanted.model_dump())
    close(target, len(looked_at), info)


if __name__ == "__main__":
    run_stage(drop_text)
