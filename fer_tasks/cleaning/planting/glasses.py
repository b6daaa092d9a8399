"""Glasses: dark, tinted and mirroring lenses, and clear ones, with frames and highlights."""

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator

from fer_tasks.cleaning.planting.canvas import (
    MIDDLE,
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


def glasses(tint: tuple[float, float], opaque: tuple[float, float], mirrors: float) -> Draw:
    """Return a function that draws glasses whose lenses have a grey and an opacity within these bounds.

    `mirrors`: the share of them that mirror a scene.
    """

    def draw(face: np.ndarray, photos: Sequence[np.ndarray], rng: Generator) -> Layer:
        lenses, tilt = _lenses(rng)
        mask = np.max([polygon(lens) for lens in lenses], axis=0)
        down = (((ROWS - MIDDLE[1]) / (0.5 * UNIT)).clip(-1, 1) + 1) / 2  # a lens is often darker at its top
        opacity = (rng.uniform(*opaque) - rng.choice([0, rng.uniform(0, 0.3)]) * down) * mask
        grey = rng.uniform(*tint) + rng.uniform(-10, 50) * down + shade(rng, rng.uniform(0, 30))
        if rng.random() < mirrors:
            scene = soft(texture(photos, rng), rng.uniform(0, 3))
            grey = grey + rng.uniform(0.2, 1) * (scene - grey)
        light, frame = _highlights(mask, lenses, rng), _frame(lenses, tilt, rng)
        colour = rng.choice([rng.uniform(0, 60), rng.uniform(0, 255)]) + shade(rng, 25)
        grey = grey * (1 - light) + rng.uniform(180, 255) * light
        grey = grey * (1 - frame) + colour * frame
        return Layer(grey, np.max([opacity.clip(0, 1), light, frame], axis=0))

    return draw


def _lenses(rng: Generator) -> tuple[list[np.ndarray], float]:
    """The outlines of two lenses, or of one before both eyes, and their tilt in degrees."""
    tilt, low = rng.normal(0, 3), rng.uniform(-0.04, 0.16)
    if rng.random() < 0.1:  # a visor, ski goggles
        outline = _lens(rng) * (rng.uniform(0.95, 1.25), rng.uniform(0.26, 0.5))
        nose = np.exp(-((outline[:, 0] / 0.22) ** 2)) * (outline[:, 1] > 0) * rng.uniform(0, 0.25)
        outline[:, 1] -= nose
        return [MIDDLE + turned(outline + (0, low), tilt) * UNIT], tilt
    shape, turn = _lens(rng), rng.uniform(-0.12, 0.12)
    size = np.array([rng.uniform(0.28, 0.5), rng.uniform(0.18, 0.46)])
    apart = max(rng.uniform(0.48, 0.6), size[0] + 0.04)
    outlines = [shape * (side, 1) * size * (1 + side * turn, 1) + (side * apart, low) for side in (-1, 1)]
    return [MIDDLE + turned(outline, tilt) * UNIT for outline in outlines], tilt


def _lens(rng: Generator) -> np.ndarray:
    """The outline of the right lens within -1..1: round, square, a drop or a cat's eye. (60, 2)."""
    angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    power = 2 / rng.uniform(1.8, 5)
    x = np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** power
    y = np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** power
    taper, drop, lift = rng.uniform(-0.05, 0.3), rng.uniform(-0.1, 0.25), rng.uniform(-0.1, 0.25)
    x = x * (1 - taper * (y + 1) / 2)
    return np.stack([x, y * (1 + drop * x * (y > 0)) - lift * x * np.abs(y) * (y < 0)], axis=1)


def _frame(lenses: list[np.ndarray], tilt: float, rng: Generator) -> np.ndarray:
    """The opacity of rims, which some lack, of the bridge and of temples."""
    rims = lines([np.concatenate([lens, lens[:1]]) for lens in lenses], rng.uniform(0.01, 0.11) * UNIT)
    parts = [rims * (rng.random() < 0.8)]
    thick, height = rng.uniform(0.02, 0.1) * UNIT, MIDDLE[1] + rng.uniform(-0.2, 0.02) * UNIT
    if len(lenses) == 2:
        inner = lenses[0][:, 0].max() - 2, lenses[1][:, 0].min() + 2
        parts.append(
            lines([np.array([(inner[0], height), (MIDDLE[0], height - 1), (inner[1], height)])], thick)
        )
    lift, far, drop = rng.uniform(-0.25, 0.15) * UNIT, rng.uniform(0.2, 0.9) * UNIT, np.tan(np.radians(tilt))
    for side, edge in ((-1, lenses[0][:, 0].min()), (1, lenses[-1][:, 0].max())):
        if rng.random() < 0.7:
            start, end = (edge, height + side * drop * UNIT), (edge + side * far, height + lift)
            parts.append(lines([np.array([start, end])], thick))
    return np.max(parts, axis=0)


def _highlights(mask: np.ndarray, lenses: list[np.ndarray], rng: Generator) -> np.ndarray:
    """The opacity of the spots, windows or bands of light that lenses mirror."""
    light = np.zeros((SIDE, SIDE), np.float32)
    place, size = rng.uniform(-0.7, 0.7, 2), rng.uniform(0.05, 0.5, 2)
    kind, angle = rng.choice(["none", "spot", "window", "band"]), rng.uniform(-60, 60)
    for lens in lenses if kind != "none" else ():
        half = np.ptp(lens, axis=0) / 2
        at = lens.mean(axis=0) + half * (place + rng.normal(0, 0.1, 2))
        if kind == "spot":
            light += ellipse(at, half[0] * size[0] + 1, half[1] * size[1] + 1)
        elif kind == "window":
            corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * half * size
            light += polygon(at + turned(corners, angle / 4))
        else:
            band = np.array([(-size[0], -3), (size[0], -3), (size[0], 3), (-size[0], 3)]) * half[0] * 0.8
            light += polygon(at + turned(band, angle))
    return soft(light.clip(0, 1), rng.uniform(0, 2)) * mask * rng.uniform(0.1, 0.9)
