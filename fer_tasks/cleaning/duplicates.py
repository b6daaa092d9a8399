"""Find copies of a face: photos with near perceptual hashes, faces that match after alignment; mirrored ones
too."""

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
AXES = 128  # principal components to compare faces by
CANDIDATES = 0.6  # cosine of two faces' components; of 28,000 faces one in ten has another so near
TEACHERS = 4000  # faces to fit the axes of `look_alikes` on
# The columns of a 16 x 16 DCT that change sign when the picture is mirrored: their bits of the hash flip.
MIRROR = np.frombuffer(bytes.fromhex("5555" * 16), np.uint64)


class Pairs(NamedTuple):
    """Pairs of faces by their rows, the smaller first; `value` is the distance or similarity."""

    one: np.ndarray  # (n,) int
    two: np.ndarray  # (n,) int
    mirrored: np.ndarray  # (n,) bool
    value: np.ndarray  # (n,) float

    def where(self, chosen: np.ndarray) -> "Pairs":
        return Pairs(*(column[chosen] for column in self))


def find_copies(
    read: Callable[[Path], np.ndarray],
    faces: pd.DataFrame,
    described: Description,
    max_bits: int,
    min_correlation: float,
) -> pd.DataFrame:
    """Find near-copies by the photos' hashes and by laying faces onto each other; returns `near_copies`.

    `read`: path -> (M, M, 3) uint8. `faces`: image_id, photo_phash, path. `described`: the arrays of all
    faces. Copies differ in at most `max_bits` of 256 bits, or correlate by more than `min_correlation`.
    """
    by_hash = near_hashes(faces["photo_phash"].tolist(), max_bits)
    likely = look_alikes(described.hog, described.mirrored_hog, CANDIDATES)
    paths = [Path(path) for path in faces["path"]]
    correlations = []
    for one, two, mirrored, _ in zip(*likely, strict=True):
        other = read(paths[two])
        other = np.ascontiguousarray(other[:, ::-1]) if mirrored else other
        correlations.append(correlation(read(paths[one]), other))
    by_look = likely._replace(value=np.array(correlations))
    by_look = by_look.where(by_look.value > min_correlation)
    return near_copies(faces["image_id"].tolist(), by_hash, by_look)


def near_hashes(hashes: Sequence[str], max_bits: int) -> Pairs:
    """Pairs whose perceptual hashes (64 hex digits, `images.perceptual_hash`) differ in at most `max_bits` of
    256 bits, as they are or one of them mirrored; `value` is the bits."""
    if not len(hashes):
        return _join([])
    words = np.frombuffer(bytes.fromhex("".join(hashes)), np.uint64).reshape(len(hashes), -1)
    return _join([found for block in _blocks(len(words)) for found in _near(words, block, max_bits)])


def _near(words: np.ndarray, block: slice, max_bits: int) -> Iterator[Pairs]:
    for mirrored, ours in ((False, words[block]), (True, words[block] ^ MIRROR)):
        apart = np.zeros((len(ours), len(words) - block.start), np.uint16)
        for word in range(words.shape[1]):
            apart += np.bitwise_count(ours[:, word, None] ^ words[None, block.start :, word])
        yield _upper(apart, apart <= max_bits, block.start, mirrored)


def look_alikes(hogs: np.ndarray, mirrored_hogs: np.ndarray, min_cosine: float) -> Pairs:
    """Pairs of nearest neighbours by HOG, as they are or mirrored: candidates for `correlation`.

    `hogs`, `mirrored_hogs`: (n, d), of `hog.hog_of`. `value` is the cosine, at least `min_cosine`, of their
    principal components divided by the square roots of their spreads.
    """
    if len(hogs) < 3:
        return _join([])
    # With nearly as many axes as faces each face has its own, and no two look alike.
    axes = min(AXES, max(2, len(hogs) // 2))
    pca = PCA(axes, svd_solver="randomized", random_state=0)
    pca.fit(hogs[:: max(1, len(hogs) // TEACHERS)].astype(np.float32))
    looks, mirrored = _looks(pca, hogs), _looks(pca, mirrored_hogs)
    blocks = _blocks(len(hogs))
    return _join([found for block in blocks for found in _nearest(looks, mirrored, block, min_cosine)])


def _looks(pca: PCA, hogs: np.ndarray) -> np.ndarray:
    parts = [pca.transform(hogs[block].astype(np.float32)) for block in _blocks(len(hogs))]
    looks = np.concatenate(parts) / np.sqrt(pca.singular_values_.clip(1e-6))
    return (looks / np.linalg.norm(looks, axis=1, keepdims=True).clip(1e-6)).astype(np.float32)


def _nearest(looks: np.ndarray, mirrored: np.ndarray, block: slice, min_cosine: float) -> Iterator[Pairs]:
    for flipped, others in ((False, looks), (True, mirrored)):
        cosine = looks[block] @ others.T
        rows = np.arange(len(cosine))
        cosine[rows, rows + block.start] = -1
        best = cosine.argmax(axis=1)
        found = Pairs(rows + block.start, best, np.full(len(rows), flipped), cosine[rows, best])
        found = found.where(found.value >= min_cosine)
        yield found._replace(one=np.minimum(found.one, found.two), two=np.maximum(found.one, found.two))


def correlation(one: np.ndarray, two: np.ndarray) -> float:
    """How well two faces, (M, N, 3) uint8, match after alignment: the correlation, -1..1, of their greys
    under the affine map that maximises it (ECC; Evangelidis & Psarakis 2008), 0 if none is found."""
    greys = [
        cv2.resize(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        for face in (one, two)
    ]
    until = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 30, 1e-4)
    try:
        start = np.eye(2, 3, dtype=np.float32)
        return float(cv2.findTransformECC(*greys, start, cv2.MOTION_AFFINE, until, None, 5)[0])
    except cv2.error:  # it did not converge: they have little in common
        return 0.0


def near_copies(image_ids: Sequence[str], by_hash: Pairs, by_look: Pairs) -> pd.DataFrame:
    """A row for each face, in order: group_id, the smallest id of its connected group of copies; copy_of, the
    nearest copy or ""; copy_bits and copy_correlation to it, NaN where it was not found that way."""
    ids = pd.Series(image_ids, dtype=object)
    both = _join([by_hash, by_look])
    near = coo_array((np.ones(len(both.one)), (both.one, both.two)), shape=(len(ids), len(ids)))
    group = pd.Series(connected_components(near, directed=False)[1] if len(ids) else [], dtype=int)
    bits, correlations = _best(by_hash, False), _best(by_look, True)
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
    """Doubts of copies under several labels, none of which can be trusted. `faces`: image_id, group_id,
    label."""
    labels = faces.groupby("group_id")["label"]
    count = labels.transform("nunique")
    bad = faces[count > 1]
    named = labels.transform(lambda label: ", ".join(sorted(set(label))))[bad.index]
    found = bad[["image_id"]].assign(
        rule="conflicting_labels",
        value=count[bad.index].astype(float),
        threshold=1.0,
        score=1.0,
        suggestion="",
        other=[_of_another_label(faces, row) for row in bad.itertuples()],
        detail="the same face under " + named,
    )
    return found[COLUMNS]


def _of_another_label(faces: pd.DataFrame, row: tuple) -> str:
    others = faces[(faces["group_id"] == row.group_id) & (faces["label"] != row.label)]
    return str(others["image_id"].iloc[0])


def _blocks(n: int) -> list[slice]:
    return [slice(start, start + BLOCK) for start in range(0, n, BLOCK)]


def _upper(values: np.ndarray, chosen: np.ndarray, start: int, mirrored: bool) -> Pairs:
    rows, columns = np.nonzero(np.triu(chosen, k=1))
    flags = np.full(len(rows), mirrored)
    return Pairs(rows + start, columns + start, flags, values[rows, columns].astype(float))


def _join(found: Sequence[Pairs]) -> Pairs:
    if not found:
        return Pairs(np.empty(0, int), np.empty(0, int), np.empty(0, bool), np.empty(0))
    return Pairs(*(np.concatenate(columns) for columns in zip(*found, strict=True)))
