"""data/textfree + review/decisions.csv -> data/clean: rules doubt faces, people decide on them, splits."""

from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from prefect import flow, get_run_logger

from fer_tasks.cleaning.covers import NETWORK
from fer_tasks.cleaning.decisions import Applied, apply_decisions, parse_decisions
from fer_tasks.cleaning.duplicates import conflicting_labels
from fer_tasks.cleaning.rules import check_rules, doubts
from fer_tasks.cleaning.selection import select_faces
from fer_tasks.cleaning.split import leaks
from fer_tasks.settings import Clean, Settings
from fer_tasks.storage.dataset import Dataset, empty_folder, named_from, read_with_groups, write_dataset
from fer_tasks.storage.files import read_text, write_table
from flows.engine.stage import close, made_from, run_stage
from flows.face_measures import measure
from flows.review_pause import pause_for_review


class _Judged(NamedTuple):
    measures: pd.DataFrame
    doubted: pd.DataFrame
    applied: Applied  # decisions


@flow(name="clean")
def clean(
    settings: Settings,
    source: Path = Path("data/textfree"),
    target: Path = Path("data/clean"),
    decisions: Path = Path("review/decisions.csv"),
    network: Path = NETWORK,
) -> None:
    textfree, section = read_with_groups(source), settings.clean
    check_rules(section.reject)
    parse_decisions(read_text(decisions), str(decisions))  # a broken file stops the run before measuring
    measures = measure(textfree, section, network)
    of_rules = [doubts(measures, section.rules.model_dump()), conflicting_labels(measures), leaks(measures)]
    doubted = pd.concat(of_rules, ignore_index=True).sort_values(["image_id", "rule"])
    may_pause = bool(section.wait_for_review)
    applied_text = None
    while applied_text != (text := read_text(decisions)):  # people go on deciding while this runs
        applied = apply_decisions(textfree.manifest, parse_decisions(text, str(decisions)))
        applied_text = text
        info = _write(textfree, target, _Judged(measures, doubted, applied), section)
        if may_pause and (undecided := _undecided(doubted, applied)):
            may_pause = False
            pause_for_review(undecided, section.wait_for_review)
    _log_decisions(applied)
    close(target, len(textfree.manifest), info)


def _write(textfree: Dataset, target: Path, judged: _Judged, section: Clean) -> dict[str, Any]:
    kept, dropped = select_faces(judged.doubted, judged.applied, section.reject)
    kept = kept.merge(judged.measures[["image_id", "group_id", "split"]], on="image_id")
    kept = kept.assign(file=named_from(target, textfree.root, kept["file"]))
    empty_folder(target)
    write_table(target / "measures.csv", judged.measures)
    write_table(target / "doubts.csv", judged.doubted)
    sources = {**textfree.info["made_from"], **made_from(textfree)}  # the former has the images
    info = write_dataset(target, kept, dropped, sources, section.model_dump())
    counts = ", ".join(f"{split} {n}" for split, n in kept["split"].value_counts(sort=False).items())
    get_run_logger().info(f"groups: {kept['group_id'].nunique()}; pictures by split: {counts}")
    return info


def _undecided(doubted: pd.DataFrame, applied: Applied) -> int:
    """How many doubted faces nobody has decided on."""
    undecided = applied.faces[applied.faces["reviewer"] == ""]["image_id"]
    return doubted[doubted["image_id"].isin(undecided)]["image_id"].nunique()


def _log_decisions(applied: Applied) -> None:
    logger = get_run_logger()
    decided = (applied.faces["reviewer"] != "").sum() + len(applied.rejected)
    logger.info(f"people decided on {decided} faces")
    for rows, reason in (
        (applied.stale, "their faces' pixels have changed since"),
        (applied.unknown, "there is no such face"),
        (applied.disputed, "reviewers disagree; one more decision settles each"),
    ):
        if len(rows):
            lines = ", ".join(map(str, rows["line"][:10])) + (", …" if len(rows) > 10 else "")
            logger.warning(f"{len(rows)} decisions not applied, {reason}: lines {lines}")


if __name__ == "__main__":
    run_stage(clean)
