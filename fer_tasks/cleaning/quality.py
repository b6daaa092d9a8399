"""Rules of quality: each a number measured at `crop_faces`, and a threshold of params.yaml."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import pandas as pd


class Rule(NamedTuple):
    """A face breaks a rule when `value` of its row passes the threshold."""

    threshold: str  # its key among the thresholds; max_… is broken above it, min_… below it
    reason: str
    value: Callable[[pd.DataFrame], pd.Series]


# The first rule that a face breaks gives its reason: the dark and pale are not sharp, the blurred are even.
RULES = (
    Rule("max_yaw", "profile", lambda faces: faces["yaw"].abs()),
    Rule("max_roll", "rolled", lambda faces: faces["roll"].abs()),
    Rule("max_second_face", "several_faces", lambda faces: faces["second_face"]),
    Rule("min_eye_distance", "small", lambda faces: faces["eye_distance"]),
    Rule("min_brightness", "dark", lambda faces: faces["brightness"]),
    Rule("max_brightness", "bright", lambda faces: faces["brightness"]),
    Rule("min_contrast", "low_contrast", lambda faces: faces["contrast"]),
    Rule("min_sharpness", "blurred", lambda faces: faces["sharpness"]),
    Rule("max_flatness", "drawing", lambda faces: faces["flatness"]),
)


def judge(faces: pd.DataFrame, thresholds: Mapping[str, float]) -> pd.DataFrame:
    """Which faces break a rule: one row each, for the first rule broken; columns image_id, reason, detail.

    `faces` has the signals of `crop_faces`: yaw (half eye distances), roll (degrees), second_face (share of
    the main face's area), eye_distance (px of the photo), sharpness (variance of the Laplacian), brightness
    (0..255), contrast (standard deviation of the grey), flatness (share of the face without any texture).
    """
    broken = [_broken(faces, rule, thresholds[rule.threshold]) for rule in RULES]
    return pd.concat(broken).drop_duplicates("image_id", ignore_index=True)


def _broken(faces: pd.DataFrame, rule: Rule, threshold: float) -> pd.DataFrame:
    value = rule.value(faces)
    too_much = rule.threshold.startswith("max_")
    bad = value > threshold if too_much else value < threshold
    name, sign = rule.threshold.split("_", 1)[1], ">" if too_much else "<"
    detail = [f"{name} {number:.4g} {sign} {threshold:g}" for number in value[bad]]
    return pd.DataFrame({"image_id": faces["image_id"][bad], "reason": rule.reason, "detail": detail})
