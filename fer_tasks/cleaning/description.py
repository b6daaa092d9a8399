"""Compute a face's features once, for the rules that compare all faces."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from fer_tasks.cleaning.hog import hog_of

ReadImage = Callable[[Path], np.ndarray]


class Description(NamedTuple):
    """The features of one face, or of n faces with a first axis of n."""

    hog: np.ndarray  # (1764,) float16, `hog.hog_of`
    mirrored_hog: np.ndarray  # (1764,) float16, of the mirrored face


def describe_files(read: ReadImage, paths: Sequence[Path]) -> list[Description]:
    """Describe faces in files; `read(path)` decodes one to (M, M, 3) uint8."""
    cv2.setNumThreads(1)  # the caller runs a process per core
    return [_describe(read(path)) for path in paths]


def _describe(image: np.ndarray) -> Description:
    mirrored = np.ascontiguousarray(image[:, ::-1])
    return Description(hog_of(image), hog_of(mirrored))
