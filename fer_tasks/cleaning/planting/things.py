"""Things before a face: cut out of photos or drawn; and shadow and writing, which cover nothing."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.random import Generator

from fer_tasks.cleaning.planting.canvas import (
    COLUMNS,
    MIDDLE,
    MOUTH,
    ROWS,
    SIDE,
    UNIT,
    Draw,
    Layer,
    ellipse,
    lines,
    polygon,
    shade,
    soft,
    texture,
    turned,
)

LETTERS = list("abcdehiklmnorstuvw")


def thing_near(place: np.ndarray, apart: float) -> Draw:
    """Return a function that draws a piece of a photo, or something plain, within `apart` of a place."""

    def draw(face: np.ndarray, photos: Sequence[np.ndarray], rng: Generator) -> Layer:
        at = place + rng.uniform(-apart, apart, 2) * UNIT
        angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(4, 10))))
        angles = angles if rng.random() < 0.5 else np.linspace(0, 2 * np.pi, 40)
        outline = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        if rng.random() < 0.4:
            outline = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
        size = np.array([rng.uniform(0.4, 1.6), rng.uniform(0.25, 0.8)]) * UNIT
        opacity = polygon(at + turned(outline * size, rng.normal(0, 30)))
        plain = rng.uniform(0, 255) + shade(rng, rng.uniform(0, 60))
        grey = texture(photos, rng) if rng.random() < 0.65 else plain
        deep = cv2.distanceTransform((opacity > 0.5).astype(np.uint8), cv2.DIST_L2, 3)
        grey = grey - rng.choice([0, rng.uniform(0, 60)]) * np.exp(-deep / (0.12 * UNIT))
        return Layer(grey.clip(0, 255), soft(opacity, rng.choice([0, rng.uniform(0, 1.5)])))

    return draw


def cloth(face: np.ndarray, photos: Sequence[np.ndarray], rng: Generator) -> Layer:
    """A mask, which ends at the chin, or a scarf or a collar: from the nose or below it down, with folds."""
    top, wide, peak = rng.uniform(0.35, 1.0), rng.uniform(0.8, 1.6), rng.uniform(0, 0.3)
    edge = [(-wide, top), (-0.3, top - peak), (0.3, top - peak), (wide, top)]
    foot = [(wide * 0.9, 3), (-wide * 0.9, 3)]
    if rng.random() < 0.5:
        foot = [(0.65 * wide, 1.7), (0.25, 1.95), (-0.25, 1.95), (-0.65 * wide, 1.7)]
    opacity = polygon(MIDDLE + turned(np.array(edge + foot), rng.normal(0, 5)) * UNIT)
    grey = texture(photos, rng) if rng.random() < 0.3 else rng.uniform(10, 250) + shade(rng, 50)
    bent = rng.uniform(0, 3) * np.sin(COLUMNS / rng.uniform(10, 30))
    folds = np.sin(ROWS / rng.uniform(2.5, 7) + bent) * rng.uniform(0, 14)
    return Layer((grey + folds).clip(0, 255), soft(opacity, 0.5))


def band(face: np.ndarray, photos: Sequence[np.ndarray], rng: Generator) -> Layer:
    """A blindfold, a bar or a hat's brim: across the whole face, at the eyes or above them."""
    low, bow = rng.uniform(-0.9, 0.25), rng.uniform(-0.15, 0.15)
    high = low - rng.choice([rng.uniform(0.25, 0.8), 4])
    x = np.linspace(-1.8, 1.8, 15)
    edges = np.concatenate([np.stack([x, low + bow * x**2], 1), np.stack([x, high + bow * x**2], 1)[::-1]])
    opacity = polygon(MIDDLE + turned(edges, rng.normal(0, 6)) * UNIT)
    grey = texture(photos, rng) if rng.random() < 0.4 else rng.uniform(0, 255) + shade(rng, 40)
    folds = np.sin(ROWS / rng.uniform(2, 6) + COLUMNS / rng.uniform(10, 100)) * rng.uniform(0, 12)
    return Layer((grey + folds).clip(0, 255), soft(opacity, rng.uniform(0, 0.8)))


def hair(face: np.ndarray, photos: Sequence[np.ndarray], rng: Generator) -> Layer:
    """Strands from above, on the forehead or down to an eye or the mouth."""
    root, tip = np.array([rng.uniform(0.2, 0.8), -0.05]) * SIDE, rng.uniform(0.1, 0.9, 2) * SIDE
    bend, wide = rng.normal(0, 0.2) * SIDE, rng.uniform(0.04, 0.2) * SIDE
    t = np.linspace(0, 1, 12)[:, None]
    middle = root * (1 - t) + tip * t + np.sin(np.pi * t) * np.array([[bend, 0]])
    spread = 0.4 + 0.6 * (1 - t)
    strands = [middle + rng.normal(0, wide, 2) * spread for _ in range(int(rng.integers(15, 60)))]
    opacity = soft(lines(strands, rng.uniform(1, 3)), 0.5)
    tone = rng.choice([rng.uniform(10, 70), rng.uniform(10, 230)])
    grey = tone + shade(rng, 30) + lines(strands[::2], 1) * rng.uniform(-40, 40)
    return Layer(grey.clip(0, 255), opacity * rng.uniform(0.8, 1))


def microphone(face: np.ndarray, photos: Sequence[np.ndarray], rng: Generator) -> Layer:
    """A microphone before the mouth, held from below."""
    at, size = MOUTH + rng.normal(0, 0.3, 2) * UNIT, rng.uniform(0.25, 0.6) * UNIT
    head = ellipse(at, size, size * rng.uniform(0.8, 1.3))
    foot = at + np.array([rng.normal(0, 0.5), 3.0]) * UNIT
    stick = lines([np.stack([at, foot])], size * rng.uniform(0.4, 1.2))
    net = np.sin(COLUMNS / rng.uniform(1, 2)) * np.sin(ROWS / rng.uniform(1, 2)) * rng.uniform(0, 30)
    lit = np.exp(-(((COLUMNS - at[0] + size / 3) ** 2 + (ROWS - at[1] + size / 3) ** 2) / size**2))
    grey = rng.uniform(5, 150) + net + lit * rng.uniform(0, 100)
    return Layer(grey.clip(0, 255), np.maximum(head, stick))


def shadow(face: np.ndarray, photos: Sequence[np.ndarray], rng: Generator) -> Layer:
    """A soft shadow, as a hat, a hand or a deep brow throws it."""
    at = np.array([rng.uniform(0.2, 0.8), rng.uniform(0.1, 0.9)]) * SIDE
    shape = ellipse(at, rng.uniform(0.4, 1.6) * UNIT, rng.uniform(0.2, 0.9) * UNIT)
    return Layer(np.zeros_like(face), soft(shape, rng.uniform(2, 6)) * rng.uniform(0.2, 0.7))


def writing(face: np.ndarray, photos: Sequence[np.ndarray], rng: Generator) -> Layer:
    """A watermark."""
    mask = np.zeros((SIDE, SIDE), np.uint8)
    text = "".join(rng.choice(LETTERS, int(rng.integers(5, 14))))
    at = (int(rng.integers(-30, 30)), int(rng.integers(15, SIDE)))
    cv2.putText(mask, text, at, int(rng.integers(4)), rng.uniform(0.4, 1), 255, int(rng.integers(1, 3)))
    return Layer(np.full_like(face, rng.choice([0.0, 255.0])), mask * (rng.uniform(0.2, 0.6) / 255))
