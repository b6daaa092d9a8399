"""The reference for cleaning: `cleanvision`, run on picture files."""

import io
import tempfile
from collections.abc import Collection, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pandas as pd
from cleanvision import Imagelab
from cleanvision.issue_managers.image_property_issue_manager import ImagePropertyIssueManager

from benchmarks.lib.rule_scores import Judge
from fer_tasks.storage.images import encode_png


def judge(issue: str, allowed: float) -> Judge:
    """cleanvision's own threshold for an issue such as `dark`."""
    given = ImagePropertyIssueManager().get_default_params()[issue]["threshold"]
    return Judge(f"cleanvision {issue}", given, False, allowed)


def scores(images: Sequence[np.ndarray], issues: Collection[str]) -> pd.DataFrame:
    """cleanvision's scores, 0..1, 0 the worst: a row for each (M, N, 3) uint8 image, a column for each
    issue."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, f"{k:06}.png") for k in range(len(images))]
        for path, image in zip(paths, images, strict=True):
            path.write_bytes(encode_png(image))
        table = _lab(paths, issues).issues
        return pd.DataFrame({issue: table.loc[map(str, paths), f"{issue}_score"].array for issue in issues})


def near_duplicates(paths: Sequence[Path]) -> list[int]:
    """For each file, in order, the number of its set of exact or near duplicates; a file without duplicates
    has a number of its own."""
    info = _lab(paths, ["exact_duplicates", "near_duplicates"]).info
    number = {str(path): k for k, path in enumerate(paths)}
    sets = list(range(len(paths)))
    for kind in ("exact_duplicates", "near_duplicates"):
        for duplicates in info[kind]["sets"]:
            for path in duplicates:
                sets[number[str(path)]] = number[str(duplicates[0])]
    return sets


def _lab(paths: Sequence[Path], issues: Collection[str]) -> Imagelab:
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        lab = Imagelab(filepaths=[str(path) for path in paths])
        lab.find_issues({issue: {} for issue in issues}, n_jobs=1, verbose=False)
    return lab
