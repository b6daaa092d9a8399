"""The training set after each rule of cleaning, and the fixed set of faces to test on."""

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

    RAW: all of `faces` (COLUMNS). WRITING: without the ids `written`. Then each rule, in the order of
    RULE_NAMES, removes the faces that it doubts, by `doubted` (image_id, rule). PEOPLE: all rules, but
    people's decisions first, so faces come back. CLEAN: the same with only the rules `rejecting`, as the
    pipeline trains.
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
    """A row a step: step; train, val: faces; removed, added, relabelled: faces of both, against the
    step before; reason: why no model can be trained on it, or ""."""
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
        return f"faces of {train.nunique()} expressions in train; at least two are needed"
    return "" if "val" in set(faces["split"]) else "no face in val to choose the epoch by"


def faces_to_test(
    test_ids: Collection[str], doubted: pd.DataFrame, decided: Applied, enough: int
) -> pd.DataFrame:
    """The faces to test on: image_id; label, as decided; judged, by a person; doubted, by a rule.

    The faces of the test split `test_ids` that people kept or relabelled, if there are `enough`; else also
    those that nobody judged and no rule doubts. Rejected and disputed faces are left out.
    """
    candidates = decided.faces[
        decided.faces["image_id"].isin(test_ids)
        & ~decided.faces["image_id"].isin(decided.disputed["image_id"])
    ]
    candidates = candidates[["image_id", "label"]].assign(
        judged=candidates["reviewer"] != "", doubted=candidates["image_id"].isin(doubted["image_id"])
    )
    judged = candidates["judged"]
    chosen = judged if judged.sum() >= enough else judged | ~candidates["doubted"]
    return candidates[chosen].sort_values("image_id", ignore_index=True)
