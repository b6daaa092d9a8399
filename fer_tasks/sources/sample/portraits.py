"""Draw faces with an expression by morphing two portraits in the public domain.

The portraits ship inside dependencies: Eileen Collins (NASA; `skimage.data.astronaut`) and Grace Hopper (US
Navy; Matplotlib's `grace_hopper.jpg`). Their facial points are moved as an expression moves them, shapes and
colours of the two are mixed, and the pixels in between follow by thin-plate splines (Bookstein 1989).
"""

from functools import cache
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image
from skimage import data

TILE = 320  # px; the side of the square that a face is drawn on
EYES = np.array([[128.0, 140.0], [192.0, 140.0]])  # x, y of the eyes on the tile
UNIT = 64.0  # px between the eyes: the unit of the movements below

# x, y in an enlarged cut of each portrait, measured by eye; left and right as seen in the picture.
POINTS = {
    # name: (astronaut: 4 x from (140, 20); hopper: 3 x from (140, 20))
    "eye_l": ((251, 325), (250, 505)),
    "eye_r": ((427, 332), (497, 498)),
    "lid_upper_l": ((251, 309), (250, 488)),
    "lid_lower_l": ((251, 342), (250, 524)),
    "lid_upper_r": ((427, 315), (497, 482)),
    "lid_lower_r": ((427, 348), (497, 516)),
    "corner_out_l": ((214, 325), (205, 508)),
    "corner_out_r": ((468, 334), (545, 500)),
    "brow_in_l": ((290, 288), (310, 440)),
    "brow_mid_l": ((245, 274), (235, 425)),
    "brow_out_l": ((203, 281), (150, 440)),
    "brow_in_r": ((395, 292), (430, 440)),
    "brow_mid_r": ((440, 288), (515, 415)),
    "brow_out_r": ((490, 298), (610, 432)),
    "nose_bridge": ((338, 345), (372, 520)),
    "nose_tip": ((335, 418), (385, 640)),
    "wing_l": ((297, 436), (310, 660)),
    "wing_r": ((380, 440), (465, 655)),
    "mouth_l": ((258, 482), (275, 770)),
    "mouth_r": ((413, 487), (490, 765)),
    "lip_top": ((337, 479), (385, 752)),
    "lip_inner_upper": ((337, 492), (385, 771)),
    "lip_inner_lower": ((335, 517), (385, 774)),
    "lip_bottom": ((334, 534), (385, 802)),
    "cheek_l": ((205, 420), (190, 660)),
    "cheek_r": ((470, 425), (575, 655)),
    "side_l": ((160, 420), (100, 640)),
    "side_r": ((518, 425), (655, 640)),
    "jaw_l": ((196, 545), (180, 850)),
    "jaw_r": ((468, 550), (600, 850)),
    "chin": ((335, 634), (385, 915)),
    "forehead": ((340, 252), (385, 365)),
}
NAMES = tuple(POINTS)
_CUT = ((140, 20, 4), (140, 20, 3))  # left, top and enlargement of the cuts in which they were measured


def _part(name: str) -> str:
    kind, side = name.split("_")[0], name[-2:] if name[-2:] in ("_l", "_r") else ""
    kind = {"lid": "eye", "corner": "eye", "wing": "nose", "lip": "mouth"}.get(kind, kind)
    return kind if kind in ("nose", "mouth") else kind + side


# Faces differ by whole parts: if close points moved separately, they could cross and fold the skin.
PARTS = tuple(dict.fromkeys(map(_part, NAMES)))
_PART_OF = [PARTS.index(_part(name)) for name in NAMES]


class Movement(NamedTuple):
    """How an expression moves the face, in eye distances; downwards and outwards are positive."""

    corners: float = 0  # of the mouth, downwards
    wide: float = 0  # each corner, outwards
    opened: float = 0  # between the lips
    upper_lip: float = 0
    brow_in: float = 0
    brow_mid: float = 0
    brow_out: float = 0
    eyes: float = 1  # opening of the lids; 1 leaves it unchanged
    wings: float = 0  # of the nose
    cheeks: float = 0


# After the action units of FACS (Ekman & Friesen 1978) that are usual for each expression.
MOVEMENTS = {
    "angry": Movement(0.05, -0.05, 0.0, 0.0, 0.19, 0.12, -0.03, 0.75, -0.02),
    "disgust": Movement(0.12, -0.08, 0.05, -0.12, 0.10, 0.05, 0.02, 0.55, -0.11, -0.06),
    "fear": Movement(0.06, 0.12, 0.18, -0.02, -0.17, -0.09, 0.02, 1.5),
    "happy": Movement(-0.17, 0.17, 0.13, -0.03, -0.02, -0.03, 0.0, 0.8, -0.02, -0.08),
    "neutral": Movement(),
    "sad": Movement(0.19, -0.04, 0.0, 0.03, -0.17, -0.03, 0.09, 0.65),
    "surprise": Movement(0.06, -0.12, 0.46, -0.02, -0.20, -0.24, -0.20, 1.6),
}


class Look(NamedTuple):
    """One face: who, and how strongly."""

    mix: float  # 0 is the astronaut, 1 the admiral
    strength: float  # of the expression
    turn: float  # of the head: eye distances that the nose moves sideways; beyond 0.3 a profile
    wobble: np.ndarray  # (len(PARTS), 2) px, by which this face's parts are shifted


class Portrait(NamedTuple):
    """A portrait and its facial points."""

    pixels: np.ndarray  # (M, N, 3) uint8
    points: np.ndarray  # (len(NAMES), 2) x, y in the portrait
    frame: np.ndarray  # (n, 2) x, y of the tile's border in the portrait
    shape: np.ndarray  # (len(NAMES), 2) x, y of the points on the tile, with the mouth at rest


def draw_face(expression: str, look: Look) -> tuple[np.ndarray, np.ndarray]:
    """Draw one face on a tile: (320, 320, 3) uint8 RGB, and a mask of the head, (320, 320) float32 0..1.

    Raises:
        KeyError: the expression is unknown.
    """
    people = _portraits()
    shape = (1 - look.mix) * people[0].shape + look.mix * people[1].shape + look.wobble[_PART_OF]
    shape = _turned(_moved(shape, MOVEMENTS[expression], look.strength), look.turn)
    warped = [_warp(person, shape) for person in people]
    face = cv2.addWeighted(warped[0], 1 - look.mix, warped[1], look.mix, 0)
    return _open_mouth(face, shape, MOVEMENTS[expression].opened * look.strength, expression), _head(shape)


@cache
def _portraits() -> tuple[Portrait, Portrait]:
    import matplotlib.cbook

    with matplotlib.cbook.get_sample_data("grace_hopper.jpg") as file:
        hopper = np.asarray(Image.open(file).convert("RGB"))
    return _portrait(data.astronaut(), 0), _portrait(hopper, 1)


def _portrait(pixels: np.ndarray, which: int) -> Portrait:
    left, top, enlarged = _CUT[which]
    points = np.array([pair[which] for pair in POINTS.values()], float) / enlarged + [left, top]
    to_tile = cv2.estimateAffinePartial2D(points[:2], EYES)[0]
    shape = points @ to_tile[:, :2].T + to_tile[:, 2]
    back = cv2.invertAffineTransform(to_tile)
    return Portrait(pixels, points, _BORDER @ back[:, :2].T + back[:, 2], _at_rest(shape))


_EDGE = np.linspace(0, TILE, 5)
_BORDER = np.array([(x, y) for x in _EDGE for y in _EDGE if {x, y} & {0.0, float(TILE)}])


def _at_rest(shape: np.ndarray) -> np.ndarray:
    """The shape with a closed, level mouth; one of the portraits smiles."""
    shape, at = shape.copy(), NAMES.index
    middle = (shape[at("mouth_l")] + shape[at("mouth_r")]) / 2
    for name, x, y in (("mouth_l", -0.55, 0.0), ("mouth_r", 0.55, 0.0), ("lip_top", 0, -0.11)):
        shape[at(name)] = middle + np.array([x, y]) * UNIT
    for name, y in (("lip_inner_upper", -0.03), ("lip_inner_lower", 0.03), ("lip_bottom", 0.16)):
        shape[at(name)] = middle + np.array([0, y]) * UNIT
    return shape


def _moved(shape: np.ndarray, move: Movement, strength: float) -> np.ndarray:
    shape = shape.copy()

    def shift(name: str, x: float, y: float) -> None:
        shape[NAMES.index(name)] += np.array([x, y]) * UNIT * strength

    for side, sign in (("l", -1), ("r", 1)):
        shift(f"mouth_{side}", sign * move.wide, move.corners)
        shift(f"wing_{side}", 0, move.wings)
        shift(f"cheek_{side}", 0, move.cheeks)
        shift(f"brow_in_{side}", -sign * max(0, move.brow_in) * 0.5, move.brow_in)
        shift(f"brow_mid_{side}", 0, move.brow_mid)
        shift(f"brow_out_{side}", 0, move.brow_out)
        shift(f"lid_upper_{side}", 0, (1 - move.eyes) * 0.13)
        shift(f"lid_lower_{side}", 0, (move.eyes - 1) * 0.08)
    shift("lip_top", 0, move.upper_lip - 0.12 * move.opened)
    shift("lip_inner_upper", 0, move.upper_lip - 0.12 * move.opened)
    shift("lip_inner_lower", 0, 0.88 * move.opened)
    shift("lip_bottom", 0, 0.88 * move.opened)
    shift("chin", 0, 0.8 * move.opened)
    return shape


def _turned(shape: np.ndarray, turn: float) -> np.ndarray:
    """Turn the head: points slide sideways by how far they protrude, and the far half narrows."""
    shape = shape.copy()
    outstanding = {"nose_tip": 1.0, "wing_l": 0.85, "wing_r": 0.85, "nose_bridge": 0.6, "chin": 0.5}
    for i, name in enumerate(NAMES):
        depth = outstanding.get(name, 0.55 if "lip" in name or "mouth" in name else 0.25)
        shape[i, 0] += turn * UNIT * (0.0 if "side" in name else depth)
    return shape


def _warp(person: Portrait, shape: np.ndarray) -> np.ndarray:
    from scipy.interpolate import RBFInterpolator  # here: it takes 0.5 s, and other sources draw nothing

    to_portrait = RBFInterpolator(
        np.vstack([_with_lips(shape), _BORDER]),
        np.vstack([_with_lips(person.points), person.frame]),
        smoothing=0.5,
    )
    ticks = np.linspace(0, TILE - 1, 41)
    coarse = to_portrait(np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)).reshape(41, 41, 2)
    fine = cv2.resize(coarse.astype(np.float32), (TILE, TILE), interpolation=cv2.INTER_CUBIC)
    return cv2.remap(person.pixels, fine, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def _with_lips(shape: np.ndarray) -> np.ndarray:
    """The points, and one more half-way from the middle of each lip to each corner, on a parabola."""
    corners = shape[[NAMES.index("mouth_l"), NAMES.index("mouth_r")]]
    middles = shape[[NAMES.index("lip_top"), NAMES.index("lip_bottom")]]
    between = [middle + (corner - middle) * [0.5, 0.25] for middle in middles for corner in corners]
    return np.vstack([shape, between])


def _open_mouth(face: np.ndarray, shape: np.ndarray, opened: float, expression: str) -> np.ndarray:
    """Paint a dark mouth with teeth between open lips: the portraits' mouths are closed."""
    if opened < 0.04:
        return face
    upper, lower = (shape[NAMES.index(f"lip_inner_{part}")] for part in ("upper", "lower"))
    width = np.linalg.norm(shape[NAMES.index("mouth_r")] - shape[NAMES.index("mouth_l")])
    half = (0.4 if expression == "happy" else 0.33) * width
    hole = np.zeros((TILE, TILE), np.float32)
    centre, axes = (upper + lower) / 2, (int(half), max(2, int((lower - upper)[1] / 2)))
    cv2.ellipse(hole, (int(centre[0]), int(centre[1])), axes, 0, 0, 360, 1.0, -1)
    hole = cv2.GaussianBlur(hole, (0, 0), 1.6)[:, :, None]
    inside = np.zeros_like(face) + np.array([58, 22, 24], np.uint8)
    teeth = upper[1] + (0.75 if expression == "happy" else 0.28) * (lower - upper)[1]
    inside[: int(teeth)] = (226, 218, 208)
    return (face * (1 - hole) + inside * hole).astype(np.uint8)


def _head(shape: np.ndarray) -> np.ndarray:
    """A soft elliptical mask of head and hair."""
    mask = np.zeros((TILE, TILE), np.float32)
    chin = shape[NAMES.index("chin"), 1]
    cv2.ellipse(mask, (160, int((chin + 40) / 2)), (104, int((chin - 20) / 2)), 0, 0, 360, 1.0, -1)
    return cv2.GaussianBlur(mask, (0, 0), 7)
