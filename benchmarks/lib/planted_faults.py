"""Plant faults on faces: bad light, blur, drawings, and covers that its network has not learnt from.

Every function takes and returns an (M, M, 3) uint8 face; `rng` draws the strength of the fault.
"""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.random import Generator

Fault = Callable[[np.ndarray, Generator], np.ndarray]
# face, its landmarks, (5, 2) (x, y) px, another photo's face
Cover = Callable[[np.ndarray, np.ndarray, np.ndarray, Generator], np.ndarray]


def blurred(face: np.ndarray, rng: Generator) -> np.ndarray:
    """Blur as out of focus: Gaussian, sigma 1 to 3 % of the face's side."""
    return cv2.GaussianBlur(face, (0, 0), len(face) * rng.uniform(0.01, 0.03))


def shaken(face: np.ndarray, rng: Generator) -> np.ndarray:
    """Blur by motion along a line of 4 to 10 % of the face's side."""
    length = int(len(face) * rng.uniform(0.04, 0.1)) | 1
    line = np.zeros((length, length), np.float32)
    line[length // 2] = 1
    turn = cv2.getRotationMatrix2D((length // 2, length // 2), rng.uniform(0, 180), 1)
    line = cv2.warpAffine(line, turn, (length, length))
    return cv2.filter2D(face, -1, line / line.sum(), borderType=cv2.BORDER_REFLECT)


def dark(face: np.ndarray, rng: Generator) -> np.ndarray:
    return (face * rng.uniform(0.05, 0.3)).astype(np.uint8)


def bright(face: np.ndarray, rng: Generator) -> np.ndarray:
    return (255 - (255 - face) * rng.uniform(0.05, 0.3)).astype(np.uint8)


def low_contrast(face: np.ndarray, rng: Generator) -> np.ndarray:
    """Mix the face with an even grey, like fog: 5 to 30 % of the face is left."""
    left, grey = rng.uniform(0.05, 0.3), rng.uniform(60, 200)
    return (face * left + grey * (1 - left)).astype(np.uint8)


def cartoon(face: np.ndarray, rng: Generator) -> np.ndarray:
    """Draw as a cartoon: even colours and black outlines."""
    grey = cv2.medianBlur(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), 5)
    outline = cv2.adaptiveThreshold(grey, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY, 9, 6)
    return cv2.pyrMeanShiftFiltering(face, 12, rng.uniform(25, 45)) * (outline[..., None] > 0)


def pencil(face: np.ndarray, rng: Generator) -> np.ndarray:
    """Draw as with a pencil: grey lines on white."""
    grey = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)
    lines = cv2.divide(grey, 255 - cv2.GaussianBlur(255 - grey, (0, 0), rng.uniform(4, 12)), scale=256)
    return cv2.cvtColor(lines, cv2.COLOR_GRAY2RGB)


def stylised(face: np.ndarray, rng: Generator) -> np.ndarray:
    """Stylise by OpenCV's edge-aware smoothing (Gastal & Oliveira 2011)."""
    return cv2.stylization(face, sigma_s=rng.uniform(30, 90), sigma_r=rng.uniform(0.3, 0.6))


LIGHT: dict[str, Fault] = {
    "blurred": blurred,
    "shaken": shaken,
    "dark": dark,
    "bright": bright,
    "low contrast": low_contrast,
}
DRAWINGS: dict[str, Fault] = {"cartoon": cartoon, "pencil": pencil, "stylised": stylised}
# The rule that should doubt a face with the fault; it looks at one of `light_signals`.
RULE_OF = {"blurred": "blurred", "shaken": "blurred", "dark": "dark", "bright": "bright"}
RULE_OF |= {"low contrast": "low_contrast"} | dict.fromkeys(DRAWINGS, "drawing")


def sunglasses(face: np.ndarray, landmarks: np.ndarray, other: np.ndarray, rng: Generator) -> np.ndarray:
    """Draw sunglasses: two lenses, darker at the top, with a bridge and temples."""
    eyes, size, angle = landmarks[:2], _eye_distance(landmarks), _angle(landmarks)
    mask = np.zeros(face.shape[:2], np.uint8)
    axes = (size * rng.uniform(0.36, 0.48), size * rng.uniform(0.24, 0.4))
    for eye in eyes + [0, 0.06 * size]:
        cv2.ellipse(mask, _point(eye), _point(axes), angle, 0, 360, 255, -1, cv2.LINE_AA)
    out = (eyes[1] - eyes[0]) * 0.9
    cv2.line(mask, _point(eyes[0] - out), _point(eyes[1] + out), 255, max(2, round(size * 0.06)), cv2.LINE_AA)
    tint = rng.uniform(0, 70, 3) + np.linspace(0, rng.uniform(0, 60), len(face))[:, None, None]
    return _blend(face, np.broadcast_to(tint, face.shape), mask, rng.uniform(0.85, 1))


def mask(face: np.ndarray, landmarks: np.ndarray, other: np.ndarray, rng: Generator) -> np.ndarray:
    """Draw a mask from the nose to the chin, with folds and straps."""
    size, (right, down) = _eye_distance(landmarks), _axes(landmarks)
    nose, mouth = landmarks[2], landmarks[3:].mean(axis=0)
    half, top, chin = rng.uniform(0.75, 0.95) * size, nose - 0.2 * size * down, mouth + 0.75 * size * down
    outline = [top, nose + half * right, mouth + 0.8 * half * right, chin]
    outline += [mouth - 0.8 * half * right, nose - half * right]
    shape = np.zeros(face.shape[:2], np.uint8)
    cv2.fillConvexPoly(shape, np.int32(outline), 255, cv2.LINE_AA)
    for side, up in ((1, 0), (-1, 0), (1, 0.5), (-1, 0.5)):
        start = nose + side * half * right + (0.5 - up) * size * down
        cv2.line(shape, _point(start), _point(start + side * size * right - 0.3 * size * down), 255, 1)
    colours = [(160, 200, 215), (240, 240, 240), (25, 25, 30), (225, 170, 180)]
    cloth = np.full(face.shape, colours[rng.integers(len(colours))], np.float32)
    cloth += rng.normal(0, 3, face.shape)
    for share in (0.3, 0.5, 0.7):
        middle = top + share * (chin - top)
        cv2.line(cloth, _point(middle - half * right), _point(middle + half * right), (110, 120, 130), 1)
    return _blend(face, cloth, shape)


def hand_on(region: str) -> Cover:
    """Return a function that draws four fingers of another photo's skin, from the left on the eyes, from
    below on the mouth."""

    def hand(face: np.ndarray, landmarks: np.ndarray, other: np.ndarray, rng: Generator) -> np.ndarray:
        size, (right, down) = _eye_distance(landmarks), _axes(landmarks)
        shape = np.zeros(face.shape[:2], np.uint8)
        along, across, reach = (right, down, (0.5, 1)) if region == "eyes" else (-down, right, (0.2, 0.5))
        thick = size * rng.uniform(0.2, 0.28)
        centre = _centre(landmarks, region) + rng.uniform(-0.1, 0.1, 2) * size
        for k in range(4):
            tip = centre + (k - 1.5) * thick * across + rng.uniform(*reach) * size * along
            root = tip - rng.uniform(1.8, 2.4) * size * along
            finger = np.zeros_like(shape)
            cv2.line(finger, _point(root), _point(tip), 255, max(1, round(thick * 0.9)), cv2.LINE_AA)
            shape = np.maximum(shape, finger)
        deep = cv2.distanceTransform((shape > 127).astype(np.uint8), cv2.DIST_L2, 5)
        shade = 0.6 + 0.4 * (deep / max(float(deep.max()), 1))[..., None]
        return _blend(face, _piece(other, (0.55, 0.7), 0.12, len(face)) * shade, shape)

    return hand


def thing_on(region: str) -> Cover:
    """Return a function that pastes a piece of another photo, from a corner of its face's crop."""

    def thing(face: np.ndarray, landmarks: np.ndarray, other: np.ndarray, rng: Generator) -> np.ndarray:
        size, angle = _eye_distance(landmarks), _angle(landmarks) + rng.uniform(-40, 40)
        wide = rng.uniform(0.9, 1.2) if region == "eyes" else rng.uniform(0.5, 0.9)
        axes = np.array([wide, rng.uniform(0.3, 0.5)]) * size
        centre = _centre(landmarks, region) + rng.uniform(-0.1, 0.1, 2) * size
        shape = np.zeros(face.shape[:2], np.uint8)
        corners = cv2.boxPoints((centre.tolist(), (2 * axes).tolist(), angle))
        if rng.random() < 0.5:
            cv2.fillConvexPoly(shape, corners.astype(np.int32), 255, cv2.LINE_AA)
        else:
            cv2.ellipse(shape, _point(centre), _point(axes), angle, 0, 360, 255, -1, cv2.LINE_AA)
        corner = rng.choice([0.15, 0.85], 2)
        return _blend(face, _piece(other, corner, 0.3, len(face)), shape)

    return thing


COVERS: dict[str, Cover] = {
    "sunglasses": sunglasses,
    "hand on the eyes": hand_on("eyes"),
    "thing on the eyes": thing_on("eyes"),
    "mask": mask,
    "hand on the mouth": hand_on("mouth"),
    "thing on the mouth": thing_on("mouth"),
}


def _blend(face: np.ndarray, cover: np.ndarray, shape: np.ndarray, opaque: float = 1.0) -> np.ndarray:
    share = cv2.GaussianBlur(shape, (0, 0), 0.7)[..., None] / 255 * opaque
    return (face * (1 - share) + cover * share).clip(0, 255).astype(np.uint8)


def _piece(other: np.ndarray, where: tuple[float, float] | np.ndarray, share: float, side: int) -> np.ndarray:
    """The square of another face around `where` (x, y), 0..1, enlarged to `side` px."""
    half = max(2, round(len(other) * share / 2))
    column, row = (int(np.clip(round(at * len(other)), half, len(other) - half)) for at in where)
    return cv2.resize(other[row - half : row + half, column - half : column + half], (side, side))


def _centre(landmarks: np.ndarray, region: str) -> np.ndarray:
    return (landmarks[:2] if region == "eyes" else landmarks[3:]).mean(axis=0)


def _eye_distance(landmarks: np.ndarray) -> float:
    return max(float(np.linalg.norm(landmarks[1] - landmarks[0])), 8.0)


def _axes(landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The unit vectors along the eyes and down the face."""
    angle = np.radians(_angle(landmarks))
    right = np.array([np.cos(angle), np.sin(angle)])
    return right, np.array([-right[1], right[0]])


def _angle(landmarks: np.ndarray) -> float:
    across, down = landmarks[1] - landmarks[0]
    return float(np.degrees(np.arctan2(down, across)))


def _point(at: np.ndarray | tuple[float, float]) -> tuple[int, int]:
    return round(float(at[0])), round(float(at[1]))
