"""Find near-copies of faces, mirrored ones too: by the perceptual hashes of their photos, and by the
correlation of aligned faces."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.decomposition import PCA

from fer_tasks.cleaning.description import Description
from fer_tasks.cleaning.rules import COLUMNS

BLOCK = 1024  # rows of a distance matrix at a time: 1024 x 30,000 distances of 4 bytes are 120 MB
SIDE = 64  # px, to which faces are shrunk before they are aligned
COMPONENTS = 128  # principal components to compare faces by
MIN_COSINE = 0.6  # of two faces' components; among 28,000 faces, one in ten has a neighbour so near
MAX_TRAINING = 4000  # faces to fit the principal components on
# Mirroring a picture changes the sign of every second column of its 16 x 16 DCT, and flips these bits.
MIRROR = np.frombuffer(bytes.fromhex("5555" * 16), np.uint64)


class Pairs(NamedTuple):
    """Pairs of faces."""

    one: np.ndarray  # (n,) int, the smaller row of a pair
    two: np.ndarray  # (n,) int, the larger row
    mirrored: np.ndarray  # (n,) bool, whether one of them has to be mirrored
    value: np.ndarray  # (n,) float, the distance or similarity

    def where(self, chosen: np.ndarray) -> "Pairs":
        return Pairs(*(column[chosen] for column in self))


def find_copies(
    read: Callable[[Path], np.ndarray],
    faces: pd.DataFrame,
    described: Description,
    max_bits: int,
    min_correlation: float,
) -> pd.DataFrame:
    """Find near-copies by the hashes of photos and by the correlation of faces: the table of `near_copies`.

    `read`: path -> (M, M, 3) uint8. `faces`: image_id, photo_phash, path. `described`: the features of all
    faces, in the same order. Two faces are copies if their hashes differ in at most `max_bits` of 256 bits,
    or if they correlate by more than `min_correlation`.
    """
    by_hash = near_hashes(faces["photo_phash"].tolist(), max_bits)
    candidates = look_alikes(described.hog, described.mirrored_hog, MIN_COSINE)
    paths = [Path(path) for path in faces["path"]]
    correlations = []
    for one, two, mirrored, _ in zip(*candidates, strict=True):
        other = read(paths[two])
        other = np.ascontiguousarray(other[:, ::-1]) if mirrored else other
        correlations.append(correlation(read(paths[one]), other))
    by_correlation = candidates._replace(value=np.array(correlations))
    by_correlation = by_correlation.where(by_correlation.value > min_correlation)
    return near_copies(faces["image_id"].tolist(), by_hash, by_correlation)


def near_hashes(hashes: Sequence[str], max_bits: int) -> Pairs:
    """Pairs whose perceptual hashes differ in at most `max_bits` of 256 bits, either as they are or with one
    face mirrored; `value` is the number of differing bits.

    `hashes`: 64 hex digits each, of `images.perceptual_hash`.
    """
    if not len(hashes):
        return _join([])
    words = np.frombuffer(bytes.fromhex("".join(hashes)), np.uint64).reshape(len(hashes), -1)
    return _join([pairs for block in _blocks(len(words)) for pairs in _near(words, block, max_bits)])


def _near(words: np.ndarray, block: slice, max_bits: int) -> Iterator[Pairs]:
    for mirrored, rows in ((False, words[block]), (True, words[block] ^ MIRROR)):
        bits = np.zeros((len(rows), len(words) - block.start), np.uint16)
        for word in range(words.shape[1]):
            bits += np.bitwise_count(rows[:, word, None] ^ words[None, block.start :, word])
        yield _upper(bits, bits <= max_bits, block.start, mirrored)


def look_alikes(hogs: np.ndarray, mirrored_hogs: np.ndarray, min_cosine: float) -> Pairs:
    """Each face paired with its nearest neighbour by HOG, as it is and mirrored: candidates for
    `correlation`.

    `hogs`, `mirrored_hogs`: (n, d), of `hog.hog_of`. `value` is the cosine of the two faces' principal
    components, each divided by the root of its singular value; it is at least `min_cosine`.
    """
    if len(hogs) < 3:
        return _join([])
    # With nearly as many components as faces, each face would have its own, and no two would look alike.
    n_components = min(COMPONENTS, max(2, len(hogs) // 2))
    pca = PCA(n_components, svd_solver="randomized", random_state=0)
    pca.fit(hogs[:: max(1, len(hogs) // MAX_TRAINING)].astype(np.float32))
    vectors, mirrored = _unit_vectors(pca, hogs), _unit_vectors(pca, mirrored_hogs)
    blocks = _blocks(len(hogs))
    return _join([pairs for block in blocks for pairs in _nearest(vectors, mirrored, block, min_cosine)])


def _unit_vectors(pca: PCA, hogs: np.ndarray) -> np.ndarray:
    parts = [pca.transform(hogs[block].astype(np.float32)) for block in _blocks(len(hogs))]
    vectors = np.concatenate(parts) / np.sqrt(pca.singular_values_.clip(1e-6))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-6)).astype(np.float32)


def _nearest(vectors: np.ndarray, mirrored: np.ndarray, block: slice, min_cosine: float) -> Iterator[Pairs]:
    for flipped, others in ((False, vectors), (True, mirrored)):
        cosine = vectors[block] @ others.T
        rows = np.arange(len(cosine))
        cosine[rows, rows + block.start] = -1
        best = cosine.argmax(axis=1)
        pairs = Pairs(rows + block.start, best, np.full(len(rows), flipped), cosine[rows, best])
        pairs = pairs.where(pairs.value >= min_cosine)
        yield pairs._replace(one=np.minimum(pairs.one, pairs.two), two=np.maximum(pairs.one, pairs.two))


def correlation(one: np.ndarray, two: np.ndarray) -> float:
    """The correlation of two faces' grey values after alignment, -1..1; 0 if they cannot be aligned.

    `one`, `two`: (M, N, 3) uint8. They are aligned by the affine map that maximises the correlation (ECC;
    Evangelidis & Psarakis 2008).
    """
    greys = [
        cv2.resize(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        for face in (one, two)
    ]
    until = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 30, 1e-4)
    try:
        start = np.eye(2, 3, dtype=np.float32)
        return float(cv2.findTransformECC(*greys, start, cv2.MOTION_AFFINE, until, None, 5)[0])
    except cv2.error:  # not converged: the faces have little in common
        return 0.0


def near_copies(image_ids: Sequence[str], by_hash: Pairs, by_correlation: Pairs) -> pd.DataFrame:
    """The near-copies of each face, a row for each, in order.

    Columns: group_id, the smallest id in its connected group of copies; copy_of, the nearest copy or "";
    copy_bits and copy_correlation, NaN if that method found no copy.
    """
    ids = pd.Series(image_ids, dtype=object)
    both = _join([by_hash, by_correlation])
    near = coo_array((np.ones(len(both.one)), (both.one, both.two)), shape=(len(ids), len(ids)))
    group = pd.Series(connected_components(near, directed=False)[1] if len(ids) else [], dtype=int)
    bits, correlations = _best(by_hash, False), _best(by_correlation, True)
    nearest = bits["other"].combine_first(correlations["other"]).reindex(ids.index)
    return pd.DataFrame(
        {
            "group_id": ids.groupby(group).transform("min"),
            "copy_of": nearest.map(ids).fillna("").astype(str),
            "copy_bits": bits["value"].reindex(ids.index),
            "copy_correlation": correlations["value"].reindex(ids.index).round(4),
        }
    )


def _best(pairs: Pairs, highest: bool) -> pd.DataFrame:
    both = pd.DataFrame(
        {
            "row": np.concatenate([pairs.one, pairs.two]),
            "other": np.concatenate([pairs.two, pairs.one]),
            "value": np.concatenate([pairs.value, pairs.value]),
        }
    )
    both = both.sort_values(["row", "value", "other"], ascending=[True, not highest, True])
    return both.drop_duplicates("row").set_index("row")


def conflicting_labels(faces: pd.DataFrame) -> pd.DataFrame:
    """Doubts about copies with different labels, none of which can be trusted: `rules.COLUMNS`.

    `faces`: image_id, group_id, label.
    """
    labels = faces.groupby("group_id")["label"]
    count = labels.transform("nunique")
    bad = faces[count > 1]
    named = labels.transform(lambda label: ", ".join(sorted(set(label))))[bad.index]
    doubts = bad[["image_id"]].assign(
        rule="conflicting_labels",
        value=count[bad.index].astype(float),
        threshold=1.0,
        score=1.0,
        suggestion="",
        other=[_of_another_label(faces, row) for row in bad.itertuples()],
        detail="the same face under " + named,
    )
    return doubts[COLUMNS]


def _of_another_label(faces: pd.DataFrame, row: tuple) -> str:
    others = faces[(faces["group_id"] == row.group_id) & (faces["label"] != row.label)]
    return str(others["image_id"].iloc[0])


def _blocks(n: int) -> list[slice]:
    return [slice(start, start + BLOCK) for start in range(0, n, BLOCK)]


def _upper(values: np.ndarray, chosen: np.ndarray, start: int, mirrored: bool) -> Pairs:
    rows, columns = np.nonzero(np.triu(chosen, k=1))
    flags = np.full(len(rows), mirrored)
    return Pairs(rows + start, columns + start, flags, values[rows, columns].astype(float))


def _join(parts: Sequence[Pairs]) -> Pairs:
    if not parts:
        return Pairs(np.empty(0, int), np.empty(0, int), np.empty(0, bool), np.empty(0))
    return Pairs(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
