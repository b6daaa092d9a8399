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
    """The training and validation faces after each of STEPS: tables of COLUMNS, sorted by image_id.

    `faces`: COLUMNS. `written`: ids of faces with writing. `doubted`: image_id, rule. `rejecting`: names of
    the rules that reject.

    RAW has all faces; WRITING is without those in `written`. Then each rule, in the order of RULE_NAMES,
    removes the faces that it doubts. PEOPLE applies all rules but gives precedence to people's decisions, so
    some faces return. CLEAN does the same with only the rules `rejecting`, as in the pipeline.
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
    """What each step changes, a row each.

    Columns: step; train, val (numbers of faces); removed, added, relabelled (numbers of faces, compared with
    the step before); reason (why no model can be trained on it, or "").
    """
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
        return "train has faces of fewer than two expressions"
    return "" if "val" in set(faces["split"]) else "val has no face to choose the best epoch by"


def faces_to_test(
    test_ids: Collection[str], doubted: pd.DataFrame, decided: Applied, enough: int
) -> pd.DataFrame:
    """The faces to test on: image_id, label (as decided), judged (by a person), doubted (by a rule).

    They are the faces in `test_ids` that people kept or relabelled; if there are fewer than `enough`, also
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
