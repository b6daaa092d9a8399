"""Defects drawn into some photos of the sample, for cleaning to catch.

Each function takes an (M, N, 3) uint8 photo, the place of its face and a random generator, and returns the
changed photo.
"""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

Placed = tuple[float, float, float]  # x, y of the point between the eyes, and the eyes' distance, px
WORDS = ("SALE 50%", "so funny!", "MONDAY", "STOCK PHOTO", "when you see it", "breaking news", "me at 8 am")


def writing(photo: np.ndarray, face: Placed, rng: np.random.Generator) -> np.ndarray:
    """Draw a caption across the lower face or the forehead, sometimes half transparent."""
    import matplotlib  # here: other sources draw nothing

    x, y, unit = face
    size = max(9, int(unit * rng.uniform(0.32, 0.45)))
    font = ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans-Bold.ttf"), size)
    where = (x, y + unit * rng.choice([-0.75, 1.5]))
    ink = (255, 255, 255, int(rng.choice([255, 170])))
    edge = {"stroke_width": max(1, int(unit / 28)), "stroke_fill": (0, 0, 0, ink[3])}
    layer = Image.new("RGBA", photo.shape[1::-1])
    ImageDraw.Draw(layer).text(where, str(rng.choice(WORDS)), ink, font, anchor="mm", **edge)
    return np.asarray(Image.alpha_composite(Image.fromarray(photo).convert("RGBA"), layer).convert("RGB"))


def covered_eyes(photo: np.ndarray, face: Placed, rng: np.random.Generator) -> np.ndarray:
    """Draw sunglasses."""
    x, y, unit = face
    photo = photo.copy()
    for side in (-0.5, 0.5):
        centre, axes = (int(x + side * unit), int(y)), (int(0.44 * unit), int(0.32 * unit))
        cv2.ellipse(photo, centre, axes, 0, 0, 360, (12, 12, 16), -1, cv2.LINE_AA)
    bridge = [(int(x + side * 0.5 * unit), int(y - 0.1 * unit)) for side in (-1, 1)]
    return cv2.line(photo, *bridge, (12, 12, 16), max(1, int(unit / 14)), cv2.LINE_AA)


def covered_mouth(photo: np.ndarray, face: Placed, rng: np.random.Generator) -> np.ndarray:
    """Draw a hand or a mask over the mouth."""
    x, y, unit = face
    colour = [(205, 160, 130), (120, 175, 205), (235, 235, 230)][rng.integers(3)]
    corners = np.array([(-0.95, 0.75), (0.95, 0.75), (0.6, 1.9), (-0.6, 1.9)]) * unit + [x, y]
    return cv2.fillPoly(photo.copy(), [corners.astype(np.int32)], colour, cv2.LINE_AA)


def blurred(photo: np.ndarray, face: Placed, rng: np.random.Generator) -> np.ndarray:
    """Blur the photo as if out of focus."""
    return cv2.GaussianBlur(photo, (0, 0), face[2] * rng.uniform(0.11, 0.15))


def dark(photo: np.ndarray, face: Placed, rng: np.random.Generator) -> np.ndarray:
    """Underexpose the photo strongly."""
    return (photo * rng.uniform(0.12, 0.17)).astype(np.uint8)


def bright(photo: np.ndarray, face: Placed, rng: np.random.Generator) -> np.ndarray:
    """Overexpose the photo strongly."""
    return (255 - (255 - photo.astype(float)) * rng.uniform(0.15, 0.2)).astype(np.uint8)


IN_PHOTO: dict[str, Callable[[np.ndarray, Placed, np.random.Generator], np.ndarray]] = {
    "writing": writing,
    "covered_eyes": covered_eyes,
    "covered_mouth": covered_mouth,
    "blurred": blurred,
    "dark": dark,
    "bright": bright,
}
