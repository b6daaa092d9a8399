"""What each rule of cleaning leaves to learn from, and the fixed set of faces that all is tested on."""

from collections.abc import Collection, Mapping
from itertools import pairwise

import pandas as pd

from fer_tasks.cleaning.decisions import Applied
from fer_tasks.cleaning.rules import RULE_NAMES
from fer_tasks.cleaning.selection import select_faces

RAW, WRITING, PEOPLE, CLEAN = "raw faces", "has_text", "people", "clean"
STEPS = (RAW, WRITING, *RULE_NAMES, PEOPLE, CLEAN)
COLUMNS = ["image_id", "label", "split"]


def training_sets(
    faces: pd.DataFrame,
    written: Collection[str],
    doubted: pd.DataFrame,
    decided: Applied,
    rejecting: Collection[str],
) -> dict[str, pd.DataFrame]:
    """The faces of train and validation at each of STEPS: COLUMNS, by image_id; none of the test split.

    RAW: all of `faces` (COLUMNS). WRITING: without the ids `written`. Then each rule takes the faces that
    it doubts, by `doubted` (image_id, rule) and in the order of RULE_NAMES, out of what the one before left.
    PEOPLE: all rules, and people's decisions before them, so faces come back. CLEAN: the same with the rules
    `rejecting` alone, which is what the line trains on.
    """
    left, sets = faces, {RAW: faces}
    by_rule = {rule: doubted[doubted["rule"] == rule]["image_id"] for rule in RULE_NAMES}
    for step, ids in {WRITING: written, **by_rule}.items():
        sets[step] = left = left[~left["image_id"].isin(ids)]
    for step, rules in ((PEOPLE, RULE_NAMES), (CLEAN, rejecting)):
        kept, _ = select_faces(doubted, decided, rules)
        sets[step] = faces[["image_id", "split"]].merge(kept[["image_id", "label"]], on="image_id")
    return {
        step: table[table["split"] != "test"][COLUMNS].sort_values("image_id", ignore_index=True)
        for step, table in sets.items()
    }


def changes(sets: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """A row a step: step; train, val: faces; removed, added, relabelled: faces of the two against the step
    before; reason: why nothing can be learnt from it, or ""."""
    rows = []
    for (_, before), (step, now) in pairwise([(RAW, sets[RAW]), *sets.items()]):
        both = before.merge(now, on="image_id")
        rows.append(
            {
                "step": step,
                "train": (now["split"] == "train").sum(),
                "val": (now["split"] == "val").sum(),
                "removed": len(before) - len(both),
                "added": len(now) - len(both),
                "relabelled": (both["label_x"] != both["label_y"]).sum(),
                "reason": _too_few(now),
            }
        )
    return pd.DataFrame(rows)


def _too_few(faces: pd.DataFrame) -> str:
    train = faces[faces["split"] == "train"]["label"]
    if train.nunique() < 2:
        return f"faces of {train.nunique()} expressions in train; two at least can be told apart"
    return "" if "val" in set(faces["split"]) else "no face in val to choose the epoch by"


def faces_to_test(
    test_ids: Collection[str], doubted: pd.DataFrame, decided: Applied, enough: int
) -> pd.DataFrame:
    """The faces to test on: image_id; label, as decided; judged, by a person; doubted, by a rule.

    Of the test split `test_ids` those that people kept or relabelled, if there are `enough`; else also those
    that nobody judged and no rule doubts. Nothing that people rejected or differ about.
    """
    known = decided.faces[
        decided.faces["image_id"].isin(test_ids)
        & ~decided.faces["image_id"].isin(decided.disputed["image_id"])
    ]
    known = known[["image_id", "label"]].assign(
        judged=known["reviewer"] != "", doubted=known["image_id"].isin(doubted["image_id"])
    )
    chosen = known["judged"] if known["judged"].sum() >= enough else known["judged"] | ~known["doubted"]
    return known[chosen].sort_values("image_id", ignore_index=True)
