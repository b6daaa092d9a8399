"""data/faces -> data/textfree: faces without writing on them."""

from pathlib import Path
from typing import Any

import pandas as pd
from prefect import flow
from prefect.states import State

from fer_tasks.settings import DropText, Settings, WritingRule
from fer_tasks.storage import images
from fer_tasks.storage.dataset import (
    empty_folder,
    image_files,
    named_from,
    read_with_groups,
    write_dataset,
)
from fer_tasks.text import local
from fer_tasks.text.lines import Line, apply_writing_rule
from fer_tasks.text.quota import QuotaSpent
from flows.engine.memo_map import map_items, shard_task
from flows.engine.stage import close, made_from, paused, run_stage
from flows.engine.worker_pool import WORKERS
from flows.ocr_space import lines_by_ocr_space

Files = dict[str, tuple[str, str]]  # {face's id: (pixel hash, path)}
FOUND = ["image_id", "reason", "detail", "text", "text_boxes", "text_share"]


@shard_task
def read(shard: Files, side: int, min_confidence: float) -> dict[str, list[Line]]:
    faces = [images.read_image(Path(path)) for _, path in shard.values()]
    return dict(zip(shard, local.find_lines(faces, side, min_confidence), strict=True))


@flow(name="drop_text")
def drop_text(
    settings: Settings, source: Path = Path("data/faces"), target: Path = Path("data/textfree")
) -> State | None:
    faces, section = read_with_groups(source), settings.drop_text
    files = image_files(faces)
    try:
        lines, unread = _find_lines(files, section)
    except QuotaSpent as spent:
        return paused(str(spent))
    judged = [{"image_id": i, **_judge(i, files, lines, unread, section.rule)} for i in files]
    checked = faces.manifest.merge(pd.DataFrame(judged, columns=FOUND).assign(engine=section.engine))
    kept = checked[checked["reason"] == ""].drop(columns=["reason", "detail"])
    rejected = checked[checked["reason"] != ""][["image_id", "reason", "detail"]]
    empty_folder(target)
    kept = kept.assign(file=named_from(target, source, kept["file"]))
    info = write_dataset(target, kept, rejected, made_from(faces), _deciding_settings(section))
    close(target, len(checked), info)
    return None


def _deciding_settings(section: DropText) -> dict[str, Any]:
    """The settings that the result depends on; the rate of calls is not among them."""
    ocr_space = section.ocr_space.model_dump(include={"ocr_engine", "language", "sheet"})
    engines = {"local": section.local.model_dump(), "ocr_space": ocr_space, "none": {}}
    return {"engine": section.engine, **section.rule.model_dump(), **engines[section.engine]}


def _find_lines(files: Files, section: DropText) -> tuple[dict[str, list[Line]], dict[str, str]]:
    """The lines on each face that the engine read, and why it could not read the others."""
    if section.engine == "none":
        return {face: [] for face in files}, {}
    if section.engine == "local":
        return dict(map_items(read, files, **section.local.model_dump())), {}
    return lines_by_ocr_space(files, section.ocr_space)


def _judge(
    face: str, files: Files, lines: dict[str, list[Line]], unread: dict[str, str], rule: WritingRule
) -> dict:
    if face in unread:
        return {"reason": "not_read", "detail": unread[face]}
    verdict = apply_writing_rule(lines[face], images.read_size(Path(files[face][1])), **rule.model_dump())
    if not verdict.pop("has_text"):
        return {"reason": "", **verdict}
    return {"reason": "has_text", "detail": verdict["text"] or "writing that could not be read", **verdict}


if __name__ == "__main__":
    run_stage(
        drop_text,
        workers=lambda settings: max(WORKERS, settings.drop_text.ocr_space.connections),
        stays_here=lambda settings: settings.drop_text.engine == "ocr_space",  # so do its key and its ledger
    )
