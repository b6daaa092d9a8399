"""Rules that doubt a face: each compares a measure with a threshold of params.yaml."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

import pandas as pd

from fer_tasks.errors import UserError
from fer_tasks.labels import LEAK

COLUMNS = ["image_id", "rule", "value", "threshold", "score", "suggestion", "other", "detail"]


class Rule(NamedTuple):
    """A face is doubted if the absolute value of its measure is beyond the threshold; NaN never is."""

    name: str
    threshold: str  # its key in params.yaml; above a max_… and below a min_… a face is doubted
    measure: str  # a column of the measures


# A face is rejected for the first rule that it breaks, so causes come before effects: dark and pale faces are
# not sharp, blurred ones are flat.
RULES = (
    Rule("profile", "max_yaw", "yaw"),
    Rule("rolled", "max_roll", "roll"),
    Rule("several_faces", "max_second_face", "second_face"),
    Rule("small", "min_eye_distance", "eye_distance"),
    Rule("dark", "min_brightness", "brightness"),
    Rule("bright", "max_brightness", "brightness"),
    Rule("low_contrast", "min_contrast", "contrast"),
    Rule("blurred", "min_sharpness", "sharpness"),
    Rule("drawing", "max_flatness", "flatness"),
    Rule("low_score", "min_score", "score"),
    Rule("covered", "max_covered", "covered"),
    Rule("near_copy", "min_copy_bits", "copy_bits"),
    Rule("near_copy", "max_copy_correlation", "copy_correlation"),
    Rule("label_doubt", "max_label_doubt", "label_doubt"),
)
OF_COPIES = ("conflicting_labels", LEAK)  # have no threshold: they follow from the near-copies
_OWN = list(dict.fromkeys(rule.name for rule in RULES))
RULE_NAMES = (*_OWN[: _OWN.index("near_copy")], *OF_COPIES, *_OWN[_OWN.index("near_copy") :])


class UnknownRule(UserError):
    """params.yaml names an unknown rule."""


def check_rules(names: Collection[str]) -> None:
    """Check the names of rules.

    Raises:
        UnknownRule: a name is unknown; the message lists the rules.
    """
    unknown = [name for name in names if name not in RULE_NAMES]
    if unknown:
        raise UnknownRule(
            f"params.yaml: clean.reject: no rule {unknown[0]!r}; choose from {', '.join(RULE_NAMES)}"
        )


def doubts(measures: pd.DataFrame, thresholds: Mapping[str, float]) -> pd.DataFrame:
    """A row for each face and rule that it breaks: COLUMNS. `score` is 0..1, 1 for a rule's worst face.

    `measures`: image_id; yaw (half eye distances), roll (degrees), second_face (share of the main face's
    area), eye_distance (px of the photo), brightness and contrast (0..255), sharpness (variance of the
    Laplacian), flatness, score, covered and label_doubt (0..1), copy_bits (of 256) and copy_correlation
    (0..1) with copy_of, the nearest copy's id; suggestion, the expression that a model suggests.
    """
    broken = [_broken(measures, rule, thresholds[rule.threshold]) for rule in RULES]
    return pd.concat(broken, ignore_index=True).drop_duplicates(["image_id", "rule"], ignore_index=True)


def _broken(measures: pd.DataFrame, rule: Rule, threshold: float) -> pd.DataFrame:
    value = measures[rule.measure].abs()
    too_much = rule.threshold.startswith("max_")
    bad = value > threshold if too_much else value < threshold
    faces, value = measures[bad], value[bad]
    name, sign = rule.threshold.split("_", 1)[1], ">" if too_much else "<"
    return pd.DataFrame(
        {
            "image_id": faces["image_id"],
            "rule": rule.name,
            "value": value.round(4),
            "threshold": threshold,
            "score": value.rank(pct=True, ascending=too_much).round(4),
            "suggestion": faces["suggestion"] if rule.name == "label_doubt" else "",
            "other": faces["copy_of"] if rule.name == "near_copy" else "",
            "detail": [f"{name} {number:.4g} {sign} {threshold:g}" for number in value],
        },
        columns=COLUMNS,
    )


def rejected_by_rules(doubted: pd.DataFrame, rejecting: Collection[str]) -> pd.DataFrame:
    """The faces that the rules in `rejecting`, and LEAK, reject: image_id, reason, detail.

    A face's reason is the first of these rules that doubts it, in the order of RULE_NAMES.
    """
    ordered = doubted.assign(order=doubted["rule"].map(RULE_NAMES.index)).sort_values("order")
    first = (
        ordered[ordered["rule"].isin({*rejecting, LEAK})]
        .drop_duplicates("image_id")
        .sort_values("image_id")
        .reset_index(drop=True)
    )
    return first.rename(columns={"rule": "reason"})[["image_id", "reason", "detail"]]
