"""data/textfree + review/decisions.csv -> data/clean: machines doubt, people decide, the rest is split."""

from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from prefect import flow, get_run_logger

from fer_tasks.cleaning.decisions import Applied, apply_decisions, parse_decisions
from fer_tasks.cleaning.duplicates import conflicting_labels
from fer_tasks.cleaning.rules import check_rules, doubts
from fer_tasks.cleaning.selection import select_faces
from fer_tasks.cleaning.split import leaks
from fer_tasks.settings import Clean, Settings
from fer_tasks.storage.dataset import Dataset, copy_images, empty_folder, read_dataset, write_dataset
from fer_tasks.storage.files import read_text, write_table
from flows.engine.stage import close, made_from, run_stage
from flows.face_measures import measure
from flows.review_pause import wait_for_people


@flow(name="clean")
def clean(
    settings: Settings,
    source: Path = Path("data/textfree"),
    target: Path = Path("data/clean"),
    decisions: Path = Path("review/decisions.csv"),
) -> None:
    textfree, wanted = read_dataset(source), settings.clean
    check_rules(wanted.reject)
    parse_decisions(read_text(decisions), str(decisions))  # a broken file is told before anything is measured
    measures = measure(textfree, wanted)
    of_rules = [doubts(measures, wanted.rules.model_dump()), conflicting_labels(measures), leaks(measures)]
    doubted = pd.concat(of_rules, ignore_index=True).sort_values(["image_id", "rule"])
    waited = not wanted.wait_for_review
    read = None
    while read != (text := read_text(decisions)):  # people go on deciding while this runs
        read, decided = text, apply_decisions(textfree.manifest, parse_decisions(text, str(decisions)))
        info = _write(textfree, target, _Judged(measures, doubted, decided), wanted)
        if not waited and (left := _undecided(doubted, decided)):
            waited = True
            wait_for_people(left, wanted.wait_for_review)
    _tell(decided)
    close(target, len(textfree.manifest), info)


class _Judged(NamedTuple):
    measures: pd.DataFrame
    doubted: pd.DataFrame
    decided: Applied


def _write(textfree: Dataset, target: Path, judged: _Judged, wanted: Clean) -> dict[str, Any]:
    kept, dropped = select_faces(judged.doubted, judged.decided, wanted.reject)
    kept = kept.merge(judged.measures[["image_id", "group_id", "split"]], on="image_id")
    empty_folder(target)
    copy_images(textfree.root, target, kept["file"])
    write_table(target / "measures.csv", judged.measures)
    write_table(target / "doubts.csv", judged.doubted)
    info = write_dataset(target, kept, dropped, made_from(textfree), wanted.model_dump())
    counts = pd.crosstab(kept["split"], kept["label"])
    get_run_logger().info(f"groups: {kept['group_id'].nunique()}; pictures by split and label:\n{counts}")
    return info


def _undecided(doubted: pd.DataFrame, decided: Applied) -> int:
    waiting = decided.faces[decided.faces["reviewer"] == ""]["image_id"]
    return doubted[doubted["image_id"].isin(waiting)]["image_id"].nunique()


def _tell(decided: Applied) -> None:
    said = get_run_logger()
    applied = (decided.faces["reviewer"] != "").sum() + len(decided.rejected)
    said.info(f"decisions of people: {applied} faces decided")
    for rows, why in (
        (decided.stale, "their faces' pixels have changed since"),
        (decided.unknown, "no such face here"),
        (decided.disputed, "reviewers differ: one more word settles each"),
    ):
        if len(rows):
            lines = ", ".join(map(str, rows["line"][:10])) + (", …" if len(rows) > 10 else "")
            said.warning(f"{len(rows)} decisions not applied, {why}: lines {lines}")


if __name__ == "__main__":
    run_stage(clean)
