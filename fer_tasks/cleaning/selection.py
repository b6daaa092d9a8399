"""Select the clean faces: people's decisions take precedence over the rules."""

from collections.abc import Collection

import pandas as pd

from fer_tasks.cleaning.decisions import Applied
from fer_tasks.cleaning.rules import rejected_by_rules
from fer_tasks.labels import LEAK


def select_faces(
    doubted: pd.DataFrame, decided: Applied, rejecting: Collection[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The faces to keep, and the rejected ones with image_id, reason, detail.

    People's decisions take precedence over every rule except `leak`. `doubted`: `rules.COLUMNS`.
    `rejecting`: names of the rules that reject.
    """
    kept_by_person = decided.faces[decided.faces["reviewer"] != ""]["image_id"]
    against = doubted[~doubted["image_id"].isin(kept_by_person) | (doubted["rule"] == LEAK)]
    by_rule = rejected_by_rules(against[~against["image_id"].isin(decided.rejected["image_id"])], rejecting)
    kept = decided.faces[~decided.faces["image_id"].isin(by_rule["image_id"])]
    return kept, pd.concat([decided.rejected, by_rule], ignore_index=True)
