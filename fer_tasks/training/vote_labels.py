"""Labels of several taggers in place of one: Barsoum et al., "Training Deep Networks for Facial Expression
Recognition with Crowd-Sourced Label Distribution", ICMI 2016."""

from typing import Literal

import numpy as np
import pandas as pd

from fer_tasks.labels import EXPRESSIONS, VOTES

TAGGERS = 10  # of FER+ for each picture; the source's own label counts as one more
NO_VOTES, MOSTLY_OTHER = "no_votes", "mostly_other"


def has_votes(manifest: pd.DataFrame) -> bool:
    """Whether a manifest has the columns VOTES."""
    return set(VOTES) <= set(manifest)


def labels_of(manifest: pd.DataFrame, kind: Literal["own", "votes"]) -> tuple[np.ndarray, np.ndarray]:
    """What a cell of these `labels` learns from: as `vote_labels`, or of `own` labels one-hot rows, all with
    reason ""."""
    if kind == "votes":
        return vote_labels(manifest)
    own = manifest["label"].map(EXPRESSIONS.index).to_numpy()
    return np.eye(len(EXPRESSIONS), dtype=np.float32)[own], np.full(len(own), "")


def vote_labels(manifest: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """The share of each expression in the votes and the own label, and why a face is left out.

    `manifest`: label and VOTES, 0..1 or NaN. Returns (n, 7) float32 rows that sum to 1, and (n,) reasons: "",
    NO_VOTES, or MOSTLY_OTHER where no expression has as many votes as none of the seven, or no face.
    """
    votes = manifest[VOTES].to_numpy(float)
    of_seven, other = votes[:, :-1], votes[:, -1]
    own = np.eye(len(EXPRESSIONS))[manifest["label"].map(EXPRESSIONS.index)]
    counts = TAGGERS * np.nan_to_num(of_seven) + own
    unvoted = np.isnan(votes).any(axis=1)
    outvoted = ~unvoted & (np.nan_to_num(other) > np.nan_to_num(of_seven).max(axis=1))
    reasons = np.select([unvoted, outvoted], [NO_VOTES, MOSTLY_OTHER], "")
    return (counts / counts.sum(axis=1, keepdims=True)).astype(np.float32), reasons
