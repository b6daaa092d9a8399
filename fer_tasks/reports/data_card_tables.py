"""The data card's tables: counts, losses, doubts, copies, people's verdicts."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from fer_tasks.labels import EXPRESSIONS, LEAK, REJECTED_BY_PERSON, SPLITS

OF_LABELS = ("label_doubt", "conflicting_labels")  # a new label confirms these, as a rejection does
ABOUT = {
    "not_a_picture": "The file is in no picture format.",
    "broken_picture": "The file cannot be decoded to its end.",
    "too_many_pixels": "Larger than what is decoded.",
    "too_small": "A side is shorter than what is of use.",
    "bad_row": "A row of the source's table that cannot be read.",
    "file_not_found": "The source's table names a file that is not there.",
    "special_file": "A pipe, a socket, a device or a folder where a file should be.",
    "unreadable": "There is no permission to read it.",
    "hidden_file": "The file's name begins with a dot.",
    "link_not_followed": "A link that leads elsewhere.",
    "no_class_folder": "The file lies in no folder of one of the seven expressions: it has no label.",
    "unknown_class": "The label is none of the seven expressions.",
    "unknown_split": "It is said to be in a split that is not train, validation or test.",
    "duplicate_file": "The same file twice: one is enough.",
    "conflicting_labels": "The same picture under several labels, none of which can be trusted.",
    "no_face": "The face detector, MTCNN, found no face.",
    "low_score": "MTCNN is not sure enough that this is a face.",
    "face_too_small": "The face's box is too small in the photo.",
    "not_read": "The text engine could not read the picture.",
    "has_text": "There is writing on the face: a watermark, a caption.",
    "profile": "Seen from the side: the nose is off the eyes' centre, in half eye distances.",
    "rolled": "The line between the eyes is far from horizontal, in degrees.",
    "several_faces": "Another face is nearly as large, by area: whose expression is it? Shown is the photo.",
    "small": "The eyes are too few pixels apart in the photo.",
    "dark": "The mean grey of the face is low, of 0 to 255.",
    "bright": "The mean grey of the face is high, of 0 to 255.",
    "low_contrast": "The greys of the face hardly differ: their standard deviation.",
    "blurred": "There are no sharp edges: the variance of the Laplacian.",
    "drawing": "Drawn, not photographed: the share of the face that has no texture.",
    LEAK: "A near-copy of it is in test; or it is in train, and a near-copy of it is in validation.",
    "covered": "Something hides the eyes or the mouth: how likely, 0 to 1.",
    "near_copy": "Nearly the same face twice: bits of the photos' hashes that differ, or how they correlate.",
    "label_doubt": "A quick model that never saw the face finds the label improbable: how much, 0 to 1.",
    REJECTED_BY_PERSON: "Somebody looked at the face and rejected it.",
}


class Distribution(NamedTuple):
    """A measure of each face or photo, and the limits outside of which it is doubted."""

    name: str
    values: pd.Series  # NaN where it was not measured
    low: float = -math.inf
    high: float = math.inf
    log: bool = False  # show it on a logarithmic axis

    def summary(self) -> str:
        """The distribution in a sentence."""
        first, middle, last = self.values.quantile([0.25, 0.5, 0.75])
        limits = [f"{limit:g}" for limit in (self.low, self.high) if math.isfinite(limit)]
        outside = int(((self.values < self.low) | (self.values > self.high)).sum())
        beyond = f"; {outside:,} of {self.values.count():,} beyond {' and '.join(limits)}" if limits else ""
        return f"{self.name}: median {middle:.3g}, half of them {first:.3g} to {last:.3g}{beyond}"


def stage_counts(infos: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """stage, came_in, kept, rejected of each stage, by the contents of `dataset.json`."""
    rows = [(info["stage"], info["kept"], sum(info["rejected"].values())) for info in infos]
    counts = pd.DataFrame(rows, columns=["stage", "kept", "rejected"])
    return counts.assign(came_in=counts["kept"] + counts["rejected"])


def classes_by_split(faces: pd.DataFrame) -> pd.DataFrame:
    """Faces by expression, all seven in their order, and split; `all` and `share` of each expression."""
    counts = _table(faces["label"], faces["split"], EXPRESSIONS, SPLITS)
    whole = counts.sum(axis=1)
    return counts.assign(all=whole, share=whole / max(whole.sum(), 1))


def imbalance(counts: pd.Series) -> float:
    """The ratio of the most frequent to the rarest; infinite if one is missing."""
    return counts.max() / counts.min() if counts.min() else math.inf


def all_rejected(
    by_stage: Mapping[str, pd.DataFrame], labels: Mapping[str, str], doubted: pd.DataFrame
) -> pd.DataFrame:
    """What the stages rejected, in their order: stage, image_id, reason, detail, source, `label` ("" where
    none is known) and `score` (1 the worst of its rule, NaN where no rule of `clean` rejected it)."""
    tables = [
        table.assign(stage=stage).sort_values("reason", kind="stable") for stage, table in by_stage.items()
    ]
    rows = pd.concat(tables, ignore_index=True)
    scores = doubted.rename(columns={"rule": "reason"})[["image_id", "reason", "score"]].assign(stage="clean")
    rows = rows.merge(scores, on=["stage", "image_id", "reason"], how="left")
    return rows.assign(label=rows["image_id"].map(labels).fillna(""), source=rows["source"].fillna(""))


def losses(rejected: pd.DataFrame, kept: pd.Series) -> pd.DataFrame:
    """What became of the pictures of each expression, a column each, and of those with `no label`, if any:
    came in, a row for each stage and reason, kept, and lost, the share of what came in (NaN of nothing).

    `rejected`: of `all_rejected`. `kept`: the labels that the kept faces came with.
    """
    unlabelled = rejected["label"] == ""
    names = [*EXPRESSIONS, *(["no label"] if unlabelled.any() else [])]
    why = rejected["stage"] + ": " + rejected["reason"]
    reasons = _table(why, rejected["label"].mask(unlabelled, "no label"), why.unique(), names)
    left = kept.value_counts().reindex(names, fill_value=0)
    came_in = reasons.sum() + left
    ends = pd.DataFrame({"kept": left, "lost": 1 - left / came_in.where(came_in > 0)}).T
    return pd.concat([came_in.to_frame("came in").T, reasons, ends])


def examples(rows: pd.DataFrame, n: int) -> pd.DataFrame:
    """At most `n` of the rows, evenly spaced from the worst to the least by `score`; those without one stay
    in their order."""
    ordered = rows.sort_values("score", ascending=False, kind="stable")
    return ordered.iloc[np.unique(np.linspace(0, len(rows) - 1, min(n, len(rows))).round().astype(int))]


def rule_counts(
    rules: Mapping[str, str],
    doubted: pd.DataFrame,
    rejected: pd.DataFrame,
    rejecting: Collection[str],
    verdicts: pd.Series,
) -> pd.DataFrame:
    """Of each rule: threshold, `rejects` or only asks, how many faces are doubted and were rejected for it;
    how many of the doubted people judged, found it right of, and the 95 % interval of that share (Wilson
    1927; NaN where nobody judged).

    `rules`: {rule: its threshold in words}. `verdicts`: keep, reject or relabel by image_id.
    """
    rows = []
    for rule, threshold in rules.items():
        faces = doubted[doubted["rule"] == rule]["image_id"]
        judged = faces.map(verdicts).dropna() if rule != LEAK else pd.Series(dtype=object)
        right = int(judged.isin(("reject", "relabel") if rule in OF_LABELS else ("reject",)).sum())
        low, high = _interval(right, len(judged)) if len(judged) else (np.nan, np.nan)
        counts = len(faces), int((rejected["reason"] == rule).sum()), len(judged), right
        rows.append((rule, threshold, rule in rejecting, *counts, low, high))
    columns = ["rule", "threshold", "rejects", "doubted", "rejected", "judged", "right", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def _interval(right: int, judged: int) -> tuple[float, float]:
    from scipy.stats import binomtest  # here: it takes a second to import, and at first nobody has judged

    return binomtest(right, judged).proportion_ci(method="wilson")


def verdicts(before: pd.DataFrame, faces: pd.DataFrame, rejected: pd.DataFrame) -> pd.Series:
    """People's verdicts on faces: keep, reject or relabel, by image_id.

    `before`: image_id and label as they came. `faces`, `rejected`: as decisions were applied to them; who
    judged a face is its `reviewer`.
    """
    judged = faces[faces["reviewer"] != ""].set_index("image_id")["label"]
    same = judged == judged.index.map(before.set_index("image_id")["label"])
    kept = same.map({True: "keep", False: "relabel"})
    return pd.concat([kept, pd.Series("reject", index=rejected["image_id"], dtype=object)])


def as_suggested(
    before: pd.DataFrame, faces: pd.DataFrame, suggestions: Mapping[str, str]
) -> tuple[int, int]:
    """How many faces people relabelled, and how many of them as a model suggested. `before`, `faces`: as for
    `verdicts`. `suggestions`: by image_id."""
    came = faces["image_id"].map(before.set_index("image_id")["label"])
    relabelled = faces[(faces["reviewer"] != "") & (faces["label"] != came)]
    return len(relabelled), int((relabelled["label"] == relabelled["image_id"].map(suggestions)).sum())


def copy_groups(measures: pd.DataFrame, leaks: Collection[str]) -> pd.DataFrame:
    """A row for each group of near-copies, the largest first: group_id, size, and whether it has a leak and
    several labels. `measures`: image_id, group_id, label. `leaks`: ids of the faces that leak."""
    faces = measures.assign(leaks=measures["image_id"].isin(leaks)).groupby("group_id")
    groups = faces.agg(size=("label", "size"), leak=("leaks", "any"), labels=("label", "nunique"))
    groups = groups.assign(conflict=groups.pop("labels") > 1)[groups["size"] > 1].reset_index()
    return groups.sort_values(["size", "group_id"], ascending=[False, True], ignore_index=True)


def medians(faces: pd.DataFrame, measures: Sequence[str]) -> pd.DataFrame:
    """The median of each measure by expression and by split, those that there are; `faces`: label, split and
    the measures."""
    of_class = faces.groupby("label")[list(measures)].median().reindex(EXPRESSIONS).dropna(how="all")
    of_split = faces.groupby("split")[list(measures)].median().reindex(list(SPLITS)).dropna(how="all")
    return pd.concat([of_class, of_split])


def label_pairs(doubted: pd.DataFrame) -> pd.DataFrame:
    """Doubted labels: the label that faces have by the label that a model suggests, counts (7, 7).
    `doubted`: label, suggestion."""
    return _table(doubted["label"], doubted["suggestion"], EXPRESSIONS, EXPRESSIONS)


def largest_pairs(pairs: pd.DataFrame, n: int) -> list[tuple[str, str]]:
    """The `n` most frequent pairs of `label_pairs`, the most frequent first."""
    counts = pairs.stack()
    return list(counts[counts > 0].sort_values(ascending=False, kind="stable").index[:n])


def _table(rows: pd.Series, columns: pd.Series, index: Sequence[str], names: Sequence[str]) -> pd.DataFrame:
    return (
        pd.crosstab(rows, columns).reindex(index=list(index), columns=list(names), fill_value=0).astype(int)
    )
