"""The same face twice: equal pixels, and near-copies (resized, recompressed, slightly cropped)."""

from collections.abc import Iterator, Sequence

import imagehash
import numpy as np
import pandas as pd
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

BLOCK = 1024  # rows of the distance matrix at a time: 1024 x 30,000 distances of 2 bytes are 60 MB


def perceptual_hashes(images: Sequence[np.ndarray]) -> np.ndarray:
    """256-bit DCT hashes (pHash; Zauner 2010) of (M, N, 3) uint8 images: (n, 4) uint64."""
    bits = [imagehash.phash(Image.fromarray(image), hash_size=16).hash.ravel() for image in images]
    return np.packbits(np.array(bits, bool).reshape(-1, 256), axis=1).view(np.uint64)


def near_copy_groups(image_ids: Sequence[str], hashes: np.ndarray, max_distance: int) -> list[str]:
    """A group for each image: images at most `max_distance` of 256 bits apart, and theirs, share one.

    `hashes`: (n, 4) uint64. A group is named by the smallest of its image ids.
    """
    ids = np.asarray(image_ids, object)
    if not len(ids):
        return []
    pairs = np.concatenate([np.empty((2, 0), int), *_pairs(hashes, max_distance)], axis=1)
    near = coo_array((np.ones(pairs.shape[1]), (pairs[0], pairs[1])), shape=(len(ids), len(ids)))
    group = pd.Series(connected_components(near, directed=False)[1])
    return pd.Series(ids).groupby(group).transform("min").tolist()


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
