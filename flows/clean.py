"""data/textfree + review/decisions.csv -> data/clean: machines doubt, people decide, the rest is split."""

from pathlib import Path

import pandas as pd
from prefect import flow, get_run_logger

from fer_tasks.cleaning.decisions import Applied, apply_decisions, parse_decisions
from fer_tasks.cleaning.duplicates import conflicting_labels
from fer_tasks.cleaning.rules import LEAK, check_rules, doubts, judge
from fer_tasks.cleaning.split import leaks
from fer_tasks.dataset import Dataset, copy_images, read_dataset, read_text, write_dataset, write_table
from fer_tasks.settings import Settings
from flows.measure import measure
from flows.stage import close, made_from, run_stage


@flow(name="clean")
def clean(
    settings: Settings,
    source: Path = Path("data/textfree"),
    target: Path = Path("data/clean"),
    decisions: Path = Path("review/decisions.csv"),
) -> None:
    textfree, wanted = read_dataset(source), settings.clean
    check_rules(wanted.reject)
    parse_decisions(read_text(decisions), str(decisions))
    measures = measure(textfree, wanted)
    of_rules = [doubts(measures, wanted.rules.model_dump()), conflicting_labels(measures), leaks(measures)]
    doubted = pd.concat(of_rules, ignore_index=True).sort_values(["image_id", "rule"])
    kept, dropped = _decide(textfree, decisions, doubted, wanted.reject)
    kept = kept.merge(measures[["image_id", "group_id", "split"]], on="image_id")
    copy_images(source, target, kept["file"])
    write_table(target / "measures.csv", measures)
    write_table(target / "doubts.csv", doubted)
    info = write_dataset(target, kept, dropped, made_from(textfree), wanted.model_dump())
    close(target, len(textfree.manifest), info)
    _say_what_is_left(kept)


def _decide(
    textfree: Dataset, decisions: Path, doubted: pd.DataFrame, rejecting: list[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What is kept, and image_id, reason, detail of what is not: people's word goes before every rule but
    `leak`."""
    decided = apply_decisions(textfree.manifest, parse_decisions(read_text(decisions), str(decisions)))
    _tell(decided)
    by_person = set(decided.faces[decided.faces["reviewer"] != ""]["image_id"]) | set(
        decided.rejected["image_id"]
    )
    against = doubted[~doubted["image_id"].isin(by_person) | (doubted["rule"] == LEAK)]
    by_rule = judge(against[~against["image_id"].isin(decided.rejected["image_id"])], rejecting)
    kept = decided.faces[~decided.faces["image_id"].isin(by_rule["image_id"])]
    return kept, pd.concat([decided.rejected, by_rule], ignore_index=True)


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


def _say_what_is_left(kept: pd.DataFrame) -> None:
    counts = pd.crosstab(kept["split"], kept["label"])
    get_run_logger().info(f"groups: {kept['group_id'].nunique()}; pictures by split and label:\n{counts}")


if __name__ == "__main__":
    run_stage(clean)
