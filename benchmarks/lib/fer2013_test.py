"""FER2013's private test split, by its own labels and by what most of FER+'s ten taggers see."""

from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.lib.faces import listed, unzipped
from fer_tasks.labels import EXPRESSIONS
from fer_tasks.sources.fer2013 import TAGS

NONE = -1  # the class of a picture on which the taggers decide none


def private_test(source: Path, votes: Path, work: Path) -> pd.DataFrame:
    """A row for each of the split's pictures: path, own (its class, int) and most (that of `majority`).

    `source`: a folder or a zip of FER2013's class folders. `votes`: a table of file and FER+'s ten tags.
    `work`: a folder to unpack a zip in.
    """
    table = listed(unzipped(source, work))
    table = table[table["source_split"] == "test"].reset_index(drop=True)
    if table.empty:
        raise SystemExit(f"{source} has no picture of FER2013's private test split")
    counts = pd.read_csv(votes).set_index("file").rename(columns=str.lower)
    counts = counts[~counts.index.duplicated(keep=False)].reindex([Path(path).name for path in table["path"]])
    own = table["label"].map(EXPRESSIONS.index).to_numpy()
    return table[["path"]].assign(own=own, most=majority(counts, own))


def majority(counts: pd.DataFrame, own: np.ndarray) -> np.ndarray:
    """The expression that most taggers see: (n,) int, NONE where another tag has as many votes or more, or
    there are no votes. Where two expressions have the most it is the picture's own, else the first.

    `counts`: (n, 10) votes by FER+'s tag in lower case, or NaN. `own`: (n,) int.
    """
    of_seven = np.stack([counts[tag] for name in EXPRESSIONS for tag in TAGS if TAGS[tag] == name], axis=1)
    others = counts[[tag for tag in TAGS if TAGS[tag] == "other"]].to_numpy().max(axis=1)
    most = (np.nan_to_num(of_seven) + np.eye(len(EXPRESSIONS))[own] / 2).argmax(axis=1)
    return np.where(of_seven.max(axis=1) > others, most, NONE)
