"""The input of cleaning's quick models: histograms of oriented gradients (Dalal & Triggs 2005)."""

import cv2
import numpy as np
from skimage.feature import hog

SIDE, CELL = 48, 6  # px


def hog_of(face: np.ndarray) -> np.ndarray:
    """The HOG of an (M, M, 3) uint8 face at 48 px: (1764,) float16, 0..1."""
    grey = cv2.resize(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return hog(grey, 9, (CELL, CELL), (2, 2)).astype(np.float16)
