"""data/textfree + review/decisions.csv -> data/clean: decisions, rules, near-copies, splits."""

from pathlib import Path

import pandas as pd
from prefect import flow, get_run_logger

from fer_tasks.cleaning.decisions import Applied, apply_decisions, parse_decisions
from fer_tasks.cleaning.duplicates import conflicting_labels, near_copy_groups
from fer_tasks.cleaning.quality import judge
from fer_tasks.cleaning.split import assign_splits
from fer_tasks.dataset import copy_images, read_dataset, read_text, write_dataset
from fer_tasks.settings import Settings
from flows.stage import close, made_from, run_stage


@flow(name="clean")
def clean(
    settings: Settings,
    source: Path = Path("data/textfree"),
    target: Path = Path("data/clean"),
    decisions: Path = Path("review/decisions.csv"),
) -> None:
    textfree, wanted = read_dataset(source), settings.clean
    decided = _decide(textfree.manifest, parse_decisions(read_text(decisions), str(decisions)))
    undecided = decided.faces[decided.faces["reviewer"] == ""]
    conflicts = conflicting_labels(undecided)
    labelled = undecided[~undecided["image_id"].isin(conflicts["image_id"])]
    dropped = pd.concat([decided.rejected, conflicts, judge(labelled, wanted.rules.model_dump())])
    left = decided.faces[~decided.faces["image_id"].isin(dropped["image_id"])].sort_values("image_id")
    looks = [left["face_phash"], left["photo_phash"]]  # a pixel's shift moves a crop, not its whole photo
    groups = near_copy_groups(left["image_id"].tolist(), looks, wanted.near_copy_distance)
    kept, leaks = assign_splits(left.assign(group_id=groups), wanted.test_share, wanted.val_share)
    copy_images(source, target, kept["file"])
    info = write_dataset(target, kept, pd.concat([dropped, leaks]), made_from(textfree), wanted.model_dump())
    close(target, len(textfree.manifest), info)
    _say_what_is_left(kept)


def _decide(faces: pd.DataFrame, decisions: pd.DataFrame) -> Applied:
    decided = apply_decisions(faces, decisions)
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
    return decided


def _say_what_is_left(kept: pd.DataFrame) -> None:
    counts = pd.crosstab(kept["split"], kept["label"])
    get_run_logger().info(f"groups: {kept['group_id'].nunique()}; pictures by split and label:\n{counts}")


if __name__ == "__main__":
    run_stage(clean)
