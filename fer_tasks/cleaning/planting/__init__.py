"""Put covers on open faces, and what only resembles a cover, to learn the difference.

Whether eyes and mouth are covered follows from what lies on them: a lens that hardly tints, a hand beside the
mouth and a hat above the eyes leave a face open.
"""

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator

from fer_tasks.cleaning.planting.canvas import EYES, MIDDLE, MOUTH, SIDE, UNIT, Draw, ellipse, soft
from fer_tasks.cleaning.planting.glasses import glasses
from fer_tasks.cleaning.planting.hands import hand_near
from fer_tasks.cleaning.planting.things import band, cloth, hair, microphone, shadow, thing_near, writing

DOWN, RIGHT = np.array([0, UNIT]), np.array([UNIT, 0])
EYE_REGIONS = [ellipse(eye, 0.2 * UNIT, 0.13 * UNIT) for eye in EYES]
MOUTH_REGION = ellipse(MOUTH, 0.4 * UNIT, 0.18 * UNIT)
Weighted = dict[Draw, float]
EYE_COVERS: Weighted = {
    glasses(tint=(0, 70), opaque=(0.75, 1), mirrors=0.25): 5,
    glasses(tint=(10, 200), opaque=(0.6, 0.95), mirrors=0.8): 3,
    hand_near(EYES[1], 0.3): 1.5,
    hand_near(MIDDLE, 0.4): 2,
    thing_near(MIDDLE, 0.4): 1,
    thing_near(EYES[0], 0.3): 0.7,
    band: 1,
    hair: 0.8,
}
MOUTH_COVERS: Weighted = {
    hand_near(MOUTH, 0.35): 5,
    thing_near(MOUTH, 0.3): 1.5,
    cloth: 1.5,
    microphone: 0.8,
}
HARMLESS: Weighted = {
    glasses(tint=(0, 160), opaque=(0, 0.25), mirrors=0.2): 4,
    hand_near(MOUTH + 0.9 * RIGHT, 0.4): 1,
    hand_near(MOUTH + 0.9 * DOWN, 0.3): 1,
    hand_near(MIDDLE - DOWN, 0.3): 0.6,
    thing_near(MOUTH + DOWN, 0.2): 0.7,
    band: 0.7,
    hair: 1,
    shadow: 1.5,
    writing: 1,
}
KINDS: tuple[tuple[Weighted, ...], ...] = (
    *([(EYE_COVERS,)] * 6),
    *([(MOUTH_COVERS,)] * 5),
    (EYE_COVERS, HARMLESS),
    (MOUTH_COVERS, HARMLESS),
    *([(HARMLESS,)] * 4),
    (HARMLESS, HARMLESS),
    *([()] * 2),
)


def plant(face: np.ndarray, photos: Sequence[np.ndarray], rng: Generator) -> tuple[np.ndarray, np.ndarray]:
    """A face with a cover, with something harmless, or as it is; and how much is covered of it.

    `face`: (SIDE, SIDE) uint8 grey, aligned. `photos`: (M, N) uint8 grey, to cut things out of. Returns the
    picture, (SIDE, SIDE) uint8, and the covered shares of eyes and mouth, as `covered_shares`.
    """
    picture, opacity = face.astype(np.float32), np.zeros((SIDE, SIDE), np.float32)
    for kinds in KINDS[rng.integers(len(KINDS))]:
        draws, weights = list(kinds), np.array(list(kinds.values()))
        draw = draws[rng.choice(len(draws), p=weights / weights.sum())]
        layer = draw(picture, photos, rng)
        layer = layer._replace(grey=soft(layer.grey, rng.choice([0, rng.uniform(0, 1.2)])))
        if draw not in (shadow, writing):
            thrown = np.roll(soft(layer.opacity, 2), int(rng.integers(1, 5)), axis=0)
            picture = picture * (1 - rng.choice([0, rng.uniform(0.1, 0.5)]) * thrown)
            opacity = np.maximum(opacity, layer.opacity)
        picture = picture * (1 - layer.opacity) + layer.grey * layer.opacity
    return picture.clip(0, 255).round().astype(np.uint8), covered_shares(opacity)


def covered_shares(opacity: np.ndarray) -> np.ndarray:
    """How much is covered of the eye that is covered more, and of the mouth: (2,) float, 0..1."""
    eyes = max(float((opacity * region).sum() / region.sum()) for region in EYE_REGIONS)
    return np.array([eyes, float((opacity * MOUTH_REGION).sum() / MOUTH_REGION.sum())])
