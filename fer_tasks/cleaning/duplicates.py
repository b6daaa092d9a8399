"""The same face twice: equal pixels, and near-copies by perceptual hashes."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

BLOCK = 1024  # rows of the distance matrix at a time: 1024 x 30,000 distances of 2 bytes are 60 MB


def near_copy_groups(
    image_ids: Sequence[str], hashes: Sequence[Sequence[str]], max_distance: int
) -> list[str]:
    """A group for each image: images at most `max_distance` of 256 bits apart, and theirs, share one.

    `hashes`: one or more lists of n perceptual hashes, 64 hex digits each, such as of the face and of its
    whole photo; near by one of them is near. A group is named by the smallest of its image ids.
    """
    ids = np.asarray(image_ids, object)
    if not len(ids):
        return []
    found = [pairs for column in hashes for pairs in _pairs(_words(column), max_distance)]
    pairs = np.concatenate(found, axis=1)
    near = coo_array((np.ones(pairs.shape[1]), (pairs[0], pairs[1])), shape=(len(ids), len(ids)))
    group = pd.Series(connected_components(near, directed=False)[1])
    return pd.Series(ids).groupby(group).transform("min").tolist()


def _words(hashes: Sequence[str]) -> np.ndarray:
    return np.frombuffer(bytes.fromhex("".join(hashes)), np.uint64).reshape(len(hashes), -1)


def _pairs(hashes: np.ndarray, max_distance: int) -> Iterator[np.ndarray]:
    for start in range(0, len(hashes), BLOCK):
        block, others = hashes[start : start + BLOCK], hashes[start:]
        apart = np.zeros((len(block), len(others)), np.uint16)
        for word in range(hashes.shape[1]):
            apart += np.bitwise_count(block[:, word, None] ^ others[None, :, word])
        rows, columns = np.nonzero(apart <= max_distance)
        yield np.stack([rows, columns]) + start


def conflicting_labels(faces: pd.DataFrame) -> pd.DataFrame:
    """Faces with equal pixels under several labels, none of which can be trusted: image_id, reason,
    detail."""
    labels = faces.groupby("pixels")["label"]
    bad = faces[labels.transform("nunique") > 1]
    named = labels.transform(lambda label: ", ".join(sorted(set(label))))[bad.index]
    detail = "the same face under " + named
    return bad[["image_id"]].assign(reason="conflicting_labels", detail=detail)
