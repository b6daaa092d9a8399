"""Near-copies among many faces: time and memory compared with two references, recall of planted copies, and
leaks between splits before and after cleaning."""

import multiprocessing
import resource
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import combinations
from pathlib import Path
from typing import Any

import cv2
import imagehash
import numpy as np
import pandas as pd
from PIL import Image
from threadpoolctl import threadpool_limits

from benchmarks.lib import cleanvision_reference
from benchmarks.lib.copies import cropped, describe, mirrored, nearest, recompressed, resized
from benchmarks.lib.faces import CutFace, listed, unzipped
from fer_tasks.cleaning.duplicates import find_copies
from fer_tasks.cleaning.split import leaks
from fer_tasks.settings import load_settings
from fer_tasks.storage.images import perceptual_hash, read_image

MANY = 30_000  # blends, if no folder of many faces is given
PLANTED = 300  # copies
PART = 1000  # faces of which imagehash compares every pair; all would take too long
KINDS = {
    "smaller and recompressed": lambda face, rng: recompressed(resized(face, rng), rng),
    "mirrored": mirrored,
    "cropped 4 %": cropped(0.04),
}


def bench(photos: pd.DataFrame, faces: Sequence[CutFace], many: Path | None) -> dict[str, Any]:
    """Measure and print two tables. `photos`: those of `faces`. `many`: a folder or a zip of many faces."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        table = _given(many, root) if many else _blends(faces, root)
        planted = _plant(table, root)
        cost, groups = in_a_worker(_search, pd.concat([table, planted], ignore_index=True))
        theirs, sets = _references(pd.concat([table, planted], ignore_index=True))
        cost |= theirs
        for kind, copies in planted.groupby("kind"):
            for name, group in (("ours", groups), ("cleanvision", sets)):
                recall = (group[copies.index] == group[copies["original"]]).mean()
                cost[f"{kind}: found by {name}"] = float(recall)
        print(f"\nnear-copies among {len(table)} faces and {PLANTED} planted copies")
        print(pd.Series(cost).round(3).to_string(), flush=True)
        n, leaked = len(table), {}
        if table["split"].nunique() > 1:
            leaked["many"] = leaks_of(table["split"], groups[:n], sets[:n])
    if photos["source_split"].nunique() > 1:
        leaked["folder"] = _leaks_of_folder(photos, faces)
    print(f"\nfaces of train and val with a near-copy in another split\n{pd.DataFrame(leaked).T.to_string()}")
    return {"many": cost, "leaks": leaked}


def in_a_worker(function: Any, *arguments: Any) -> Any:
    """Call a function in a new process, so that its peak memory can be measured."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def _given(many: Path, root: Path) -> pd.DataFrame:
    pictures = listed(unzipped(many, root).resolve())
    return _table(pictures["path"], pictures["source_split"])


def _blends(faces: Sequence[CutFace], root: Path) -> pd.DataFrame:
    """Blends of two faces each, no pair twice."""
    rng, small = np.random.default_rng(0), [cv2.resize(face.image, (96, 96)) for face in faces]
    pairs = rng.permutation(list(combinations(range(len(small)), 2)))[:MANY]
    paths = [root / f"{k:06}.png" for k in range(len(pairs))]
    for path, (one, two) in zip(paths, pairs, strict=True):
        cv2.imwrite(str(path), cv2.addWeighted(small[one], 0.6, small[two], 0.4, 0))
    return _table(paths, [""] * len(paths))


def _table(paths: Sequence[str | Path], splits: Sequence[str]) -> pd.DataFrame:
    ids = [f"{k:06}" for k in range(len(paths))]
    return pd.DataFrame({"image_id": ids, "path": [str(path) for path in paths], "split": splits})


def _plant(table: pd.DataFrame, root: Path) -> pd.DataFrame:
    """Copies of PLANTED faces as JPEG files, a third of each kind."""
    rng, rows = np.random.default_rng(1), []
    (root / "planted").mkdir()
    for k, original in enumerate(rng.permutation(len(table))[:PLANTED]):
        kind = list(KINDS)[k % len(KINDS)]
        path = root / "planted" / f"{k:06}.jpg"
        copy = KINDS[kind](read_image(Path(table["path"][original])), rng)
        Image.fromarray(copy).save(path, quality=90)
        rows.append({"path": str(path), "split": "", "kind": kind, "original": original})
    return pd.DataFrame(rows, index=range(len(table), len(table) + PLANTED))


def _search(table: pd.DataFrame) -> tuple[dict[str, float], np.ndarray]:
    """Find near-copies by the stage's code in one process: the seconds of each step, the peak MB, and each
    face's group."""
    rules, paths = load_settings().clean.rules, list(map(Path, table["path"]))
    cv2.setNumThreads(1)
    threadpool_limits(1)
    start = time.perf_counter()
    table = table.assign(photo_phash=[perceptual_hash(read_image(path)) for path in paths])
    hashed = time.perf_counter()
    described = describe(paths)
    ready = time.perf_counter()
    limits = rules.min_copy_bits - 1, rules.max_copy_correlation
    groups = find_copies(read_image, table, described, *limits)["group_id"]
    return {
        "hash_s": hashed - start,
        "describe_s": ready - hashed,
        "search_s": time.perf_counter() - ready,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
        "faces_with_a_copy": int(groups.duplicated(keep=False).sum()),
    }, groups.to_numpy()


def _references(table: pd.DataFrame) -> tuple[dict[str, float], np.ndarray]:
    """Seconds of the references, and cleanvision's set of each face. imagehash's time is measured for every
    pair of PART faces and scaled to the pairs of all faces."""
    paths = list(map(Path, table["path"]))
    start = time.perf_counter()
    sets = np.array(cleanvision_reference.near_duplicates(paths))
    cleanvision = time.perf_counter() - start
    hashes = [imagehash.phash(Image.fromarray(read_image(path)), 16) for path in paths[:PART]]
    start = time.perf_counter()
    for one, two in combinations(hashes, 2):
        _ = one - two
    pairs = time.perf_counter() - start
    more = len(table) * (len(table) - 1) / (PART * (PART - 1))
    return {"cleanvision_s": cleanvision, "imagehash_pairs_s": pairs * more}, sets


def leaks_of(split: pd.Series, ours: np.ndarray, theirs: np.ndarray) -> dict[str, int]:
    """The number of leaks by our groups and by cleanvision's, before and after our leaks are dropped."""
    faces = pd.DataFrame({"image_id": split.index.astype(str), "split": split.to_numpy()})
    before = {"ours": faces.assign(group_id=ours), "cleanvision's": faces.assign(group_id=theirs)}
    dropped = leaks(before["ours"])["image_id"]
    after = {name: table[~table["image_id"].isin(dropped)] for name, table in before.items()}
    return {
        "faces": len(faces),
        **{f"by {name}, before": len(leaks(table)) for name, table in before.items()},
        **{f"by {name}, after": len(leaks(table)) for name, table in after.items()},
    }


def _leaks_of_folder(photos: pd.DataFrame, faces: Sequence[CutFace]) -> dict[str, int]:
    rules = load_settings().clean.rules
    groups = nearest(faces, rules.min_copy_bits - 1, rules.max_copy_correlation)["group_id"]
    paths = [face.photo for face in faces]
    split = photos.set_index("path")["source_split"].loc[map(str, paths)].reset_index(drop=True)
    return leaks_of(split, groups.to_numpy(), np.array(cleanvision_reference.near_duplicates(paths)))
