"""Hands: fingers with joints, nails and shadow, with the back of the hand or without."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.random import Generator

from fer_tasks.cleaning.planting.canvas import (
    EYES,
    MIDDLE,
    SIDE,
    UNIT,
    Draw,
    Layer,
    lines,
    polygon,
    shade,
    soft,
    turned,
)

CHEEKS = (
    slice(int(MIDDLE[1] + 0.4 * UNIT), int(MIDDLE[1] + 0.75 * UNIT)),
    slice(int(EYES[0, 0]), int(EYES[1, 0])),
)


def hand_near(place: np.ndarray, apart: float) -> Draw:
    """Return a function that draws one or two hands, mostly from below or aside, within `apart` of a place.

    Their skin is like that of the face.
    """

    def draw(face: np.ndarray, photos: Sequence[np.ndarray], rng: Generator) -> Layer:
        at = place + rng.uniform(-apart, apart, 2) * UNIT
        angle = rng.choice([rng.normal(0, 30), rng.normal(0, 90), rng.choice([-1, 1]) * rng.normal(75, 20)])
        opacity, light = _hand(at, angle, rng)
        if rng.random() < 0.3:
            opposite = np.array([SIDE - at[0], at[1]]) + rng.normal(0, 0.1, 2) * UNIT
            second, its_light = _hand(opposite, -angle, rng)
            light, opacity = light * (1 - second) + its_light * second, np.maximum(opacity, second)
        tone = float(np.median(face[CHEEKS])) * rng.uniform(0.75, 1.2)
        grain, spots = (
            cv2.resize(rng.normal(0, 1, (SIDE // px, SIDE // px)).astype(np.float32), (SIDE, SIDE))
            for px in (2, 10)
        )
        grey = tone + light * rng.uniform(5, 35) + shade(rng, rng.uniform(0, 45))
        grey = grey + grain * rng.uniform(0, 7) + spots * rng.uniform(0, 15)
        return Layer(grey.clip(0, 255), opacity)

    return draw


def _hand(at: np.ndarray, degrees: float, rng: Generator) -> tuple[np.ndarray, np.ndarray]:
    """The opacity and the light, -1..1, of a hand with its fingers about `at`, `degrees` from upright."""
    along = turned(np.array([[0.0, -1.0]]), degrees)[0]
    across = np.array([-along[1], along[0]])
    thick, spread = rng.uniform(0.22, 0.38) * UNIT, rng.uniform(0, 0.25)
    count = int(rng.choice([1, 2, 3, 4, 4, 4]))
    length, reach = rng.uniform(0.4, 1.5) * UNIT, rng.uniform(0.1, 0.9) * UNIT
    opacity, light = np.zeros((2, SIDE, SIDE), np.float32)
    if rng.random() < 0.7:  # the back of the hand
        half = (count * 0.5 + 0.3) * thick * across
        knuckles, wrist = at - along * (length * 0.8 - reach), at - along * (length + 0.6 * UNIT - reach)
        back = [knuckles - half, knuckles + half, wrist + half * 0.8, wrist - half * 0.8]
        opacity = soft(polygon(np.array(back)), 1)
        light = opacity * rng.uniform(-0.2, 0.5)
    for k in rng.permutation(count):
        side = k - (count - 1) / 2
        lean = along + across * side * spread
        tip = at + across * side * thick * 0.95 + lean * (reach + rng.normal(0, 0.08) * UNIT)
        mask, own = _finger(tip - lean * length, tip, thick * rng.uniform(0.85, 1.05), rng)
        light = light * (1 - mask) + own * mask
        opacity = np.maximum(opacity, mask)
    return opacity, light


def _finger(root: np.ndarray, tip: np.ndarray, thick: float, rng: Generator) -> tuple[np.ndarray, np.ndarray]:
    """The opacity of a bent finger, and its light: -1 at its edges, 1 along its middle."""
    across = np.array([-(tip - root)[1], (tip - root)[0]])
    joint = root + (tip - root) * rng.uniform(0.4, 0.6) + across * rng.normal(0, 0.06)
    mask = lines([np.stack([root, joint, tip])], thick)
    deep = cv2.distanceTransform((mask > 0.5).astype(np.uint8), cv2.DIST_L2, 3)
    light = 2 * (deep / (thick / 2)).clip(0, 1) ** rng.uniform(0.2, 0.6) - 1  # flat or round
    length = max(float(np.linalg.norm(across)), 1)
    along, across = (tip - root) / length, across / length
    middles = [root + (tip - root) * at for at in (0.35, 0.38, 0.68, 0.71)]
    creases = [np.stack([at - across * thick * 0.35, at + across * thick * 0.35]) for at in middles]
    light -= rng.uniform(0, 0.8) * soft(lines(creases, 1), 0.5)
    if rng.random() < 0.5:
        nail = np.array([across * 0.3, along * 0.45, -across * 0.3, -along * 0.2]) * thick
        light += rng.uniform(-0.3, 0.7) * polygon(tip + nail)
    return mask, light
